"""Everything that can be checked about the objects of one unit without a cluster."""

from collections.abc import Iterable, Sequence

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation import reliability, security
from pilothouse.gitops.validation.exceptions import apply_exceptions
from pilothouse.gitops.validation.object_set import Exists, ObjectSet
from pilothouse.gitops.validation.pod_security import check_pod_security
from pilothouse.gitops.validation.practice import Check, ValidationPolicy
from pilothouse.gitops.validation.references import check_references
from pilothouse.gitops.validation.rules import RULES
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.findings import Finding, verdict_of

PRACTICES: tuple[Check, ...] = (*security.CHECKS, *reliability.CHECKS)
_RULE_IDS = frozenset(rule.id for rule in RULES)


def check(
    manifests: Sequence[LoadedManifest],
    schemas: SchemaCheck,
    exists: Exists | None = None,
    *,
    loading: Iterable[Finding] = (),
    policy: ValidationPolicy | None = None,
) -> list[Finding]:
    """Schemas, references, Pod Security, practices and own rules; all problems at once.

    Args:
        manifests: the objects that are applied together.
        schemas: the schemas of the cluster's version; keep it between calls.
        exists: asks a cluster about objects that are not in the set.
        loading: what was found while the objects were loaded. After an error objects may be
            missing, so that nothing is said about what takes all of them to judge.
        policy: what the objects are held to; without one nothing but the general rules.
    """
    policy = policy or ValidationPolicy()
    objects = ObjectSet(manifests, exists, namespace=policy.namespace)
    findings = [*schemas.check(manifests), *check_pod_security(objects, policy.pod_security)]
    if verdict_of(list(loading)) != "block":
        findings += check_references(objects)
        for practice in (*PRACTICES, *policy.own_rules):
            findings += practice(objects)
    return apply_exceptions(objects, findings, _RULE_IDS, policy.today)
