"""Everything that can be checked about the objects of one unit without a cluster."""

from collections.abc import Iterable, Sequence

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import Exists
from pilothouse.gitops.validation.references import check_references
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.findings import Finding, verdict_of


def check(
    manifests: Sequence[LoadedManifest],
    schemas: SchemaCheck,
    exists: Exists | None = None,
    *,
    loading: Iterable[Finding] = (),
) -> list[Finding]:
    """Schemas, and the references between the objects; all problems at once.

    Args:
        manifests: the objects that are applied together.
        schemas: the schemas of the cluster's version; keep it between calls.
        exists: asks a cluster about objects that are not in the set.
        loading: what was found while the objects were loaded. After an error objects may be
            missing, so that nothing is said about references.
    """
    if verdict_of(list(loading)) == "block":
        return schemas.check(manifests)
    return [*schemas.check(manifests), *check_references(manifests, exists)]
