"""The folder of policies, read whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pilothouse.gitops.manifests.loader import LoadedManifest, duplicates, is_manifest_file, load
from pilothouse.gitops.validation.policies.evaluation import OwnRule, OwnRuleCheck
from pilothouse.gitops.validation.policies.parameters import Parameters
from pilothouse.gitops.validation.policies.policy import (
    Binding,
    Policy,
    compile_policy,
    read_binding,
    unknown_actions,
)
from pilothouse.gitops.validation.policy_rules import POLICY_INVALID, POLICY_NOT_JUDGED
from pilothouse.gitops.validation.practice import Check
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.findings import Finding, verdict_of

API_VERSION = "admissionregistration.k8s.io/v1"
_POLICY, _BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


@dataclass(frozen=True, slots=True)
class OwnRules:
    """The checks that a folder of policies holds, and what is wrong with the folder."""

    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Errors block, whatever the objects are: a rule that cannot be used is no rule kept."""


def load_policies(files: Mapping[str, bytes], folder: str, schemas: SchemaCheck) -> OwnRules:
    """Read and compile every policy below a folder of a repository.

    Args:
        files: the repository's files.
        folder: the folder of policies; it need not exist. Empty: all files.
        schemas: checks the shape of the policies first.

    Returns:
        A check by the policies that can be used, and all findings. Never raises for content.
    """
    findings: list[Finding] = []
    manifests: list[LoadedManifest] = []
    for path in sorted(policy_files(files, folder)):
        loaded = load(files[path], path)
        findings += loaded.findings
        manifests += loaded.manifests
    findings += duplicates(manifests)
    findings += [f for f in schemas.check(manifests) if f.rule != "schema-unknown"]
    if verdict_of(findings) == "block":
        return OwnRules(findings=tuple(findings))
    return _assembled(manifests, findings)


def policy_files(files: Mapping[str, bytes], folder: str) -> Iterator[str]:
    """The files of a repository that may hold policies, unread."""
    prefix = f"{folder}/" if folder else ""
    return (path for path in files if path.startswith(prefix) and is_manifest_file(path))


def _assembled(manifests: list[LoadedManifest], findings: list[Finding]) -> OwnRules:
    policies: dict[str, Policy] = {}
    for manifest in _of(manifests, _POLICY):
        policy, problems = compile_policy(manifest)
        findings += problems
        if policy is not None:
            policies[policy.name] = policy
    bindings = [read_binding(manifest) for manifest in _of(manifests, _BINDING)]
    known = {manifest.ref.name for manifest in _of(manifests, _POLICY)}
    kinds = {policy.param_kind for policy in policies.values() if policy.param_kind}
    parameters = Parameters([m for m in manifests if (m.ref.api_version, m.ref.kind) in kinds])
    findings += _wrong_bindings(bindings, known)
    findings += _not_policies(manifests, kinds)
    for policy in policies.values():
        findings += _without_use(policy, parameters)
    rules = tuple(
        OwnRule(
            policy,
            tuple(b for b in bindings if b.policy == policy.name) or (Binding(policy.name),),
            parameters,
        )
        for policy in policies.values()
    )
    return OwnRules((OwnRuleCheck(rules),) if rules else (), tuple(findings))


def _of(manifests: list[LoadedManifest], kind: str) -> list[LoadedManifest]:
    return [m for m in manifests if (m.ref.api_version, m.ref.kind) == (API_VERSION, kind)]


def _wrong_bindings(bindings: list[Binding], known: set[str]) -> Iterator[Finding]:
    for binding in bindings:
        if binding.policy not in known and binding.manifest is not None:
            message = f'there is no policy "{binding.policy}" in this folder'
            yield POLICY_INVALID.finding(binding.manifest, message, "/spec/policyName")
        if binding.manifest is not None and (problem := unknown_actions(binding.manifest)):
            yield POLICY_INVALID.finding(binding.manifest, problem, "/spec/validationActions")


def _not_policies(
    manifests: list[LoadedManifest], kinds: set[tuple[str, str]]
) -> Iterator[Finding]:
    wanted = {(API_VERSION, _POLICY), (API_VERSION, _BINDING), *kinds}
    for manifest in manifests:
        key = (manifest.ref.api_version, manifest.ref.kind)
        if key not in wanted:
            message = (
                f"{' '.join(key)} is neither a policy or binding of {API_VERSION} "
                "nor the parameter of one"
            )
            yield POLICY_INVALID.finding(manifest, message, "/kind")


def _without_use(policy: Policy, parameters: Parameters) -> Iterator[Finding]:
    if policy.param_kind is not None and not parameters.has(policy.param_kind):
        message = f"no {policy.param_kind[1]} in this folder can be the policy's parameter"
        yield POLICY_INVALID.finding(policy.manifest, message, "/spec/paramKind")
    if not policy.match.operations() & {"CREATE", "*"}:
        message = f"{policy.name}: it judges no new objects, so that nothing is judged before then"
        yield POLICY_NOT_JUDGED.finding(policy.manifest, message, "/spec/matchConstraints")
