"""Policies and bindings, read from their documents and compiled."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import JsonValue

from pilothouse.gitops.expressions import ExpressionError
from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.policies.expressions import Compiler, PolicyExpression
from pilothouse.gitops.validation.policies.matching import Match
from pilothouse.gitops.validation.policy_rules import POLICY_INVALID
from pilothouse.gitops.validation.shapes import at, entries, mapping, text
from pilothouse.models.findings import Finding, Severity

Result = TypeVar("Result")
_SEVERITIES: dict[str, Severity] = {"Deny": "error", "Warn": "warning", "Audit": "info"}
_CHOICES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("failurePolicy",): ("Fail", "Ignore"),
    ("matchConstraints", "matchPolicy"): ("Equivalent", "Exact"),
}
_HINTS = {
    "authorizer": "what users may do is not known without a cluster",
    "cel": "the API server does not have cel.bind: use spec.variables",
    "find": "find and findAll are not supported: use matches",
    "findAll": "find and findAll are not supported: use matches",
    "format": "the library of formats is not supported: use matches",
}


@dataclass(frozen=True, slots=True)
class Validation:
    """What must be true, and what is said if it is not."""

    expression: PolicyExpression
    path: str
    """JSON pointer of the expression in the policy."""
    message: str
    message_expression: PolicyExpression | None


@dataclass(frozen=True, slots=True)
class Policy:
    """One compiled ValidatingAdmissionPolicy."""

    manifest: LoadedManifest
    match: Match
    conditions: tuple[PolicyExpression, ...]
    validations: tuple[Validation, ...]
    fails_closed: bool
    param_kind: tuple[str, str] | None
    """apiVersion and kind of the parameters, if it has any."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.manifest.ref.name


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a policy counts, how much, and with which parameters."""

    policy: str
    manifest: LoadedManifest | None = None
    """None: the policy has no binding, so that it counts for all it matches."""
    severity: Severity = "error"
    match: Match = field(default_factory=lambda: Match({}))
    param_ref: dict[str, JsonValue] = field(default_factory=dict)


def read_binding(manifest: LoadedManifest) -> Binding:
    """A ValidatingAdmissionPolicyBinding whose shape is right."""
    spec = mapping(manifest.body.get("spec"))
    actions = spec.get("validationActions")
    wanted = actions if isinstance(actions, list) else []
    named: list[Severity] = [s for action, s in _SEVERITIES.items() if action in wanted]
    return Binding(
        policy=text(spec.get("policyName")),
        manifest=manifest,
        severity=named[0] if named else "info",
        match=Match(mapping(spec.get("matchResources"))),
        param_ref=mapping(spec.get("paramRef")),
    )


def unknown_actions(manifest: LoadedManifest) -> str:
    """What is wrong with a binding's `validationActions`; empty if nothing is."""
    actions = at(manifest.body, "spec", "validationActions")
    if isinstance(actions, list) and actions and all(action in _SEVERITIES for action in actions):
        return ""
    return f"validationActions must name some of {', '.join(_SEVERITIES)}"


def compile_policy(manifest: LoadedManifest) -> tuple[Policy | None, list[Finding]]:
    """A ValidatingAdmissionPolicy whose shape is right, or everything that is wrong with it."""
    reader = _Reader(manifest)
    spec = mapping(manifest.body.get("spec"))
    for index, variable in entries(spec.get("variables")):
        reader.declare(f"/spec/variables/{index}", variable)
    conditions = [
        reader.compiled(f"/spec/matchConditions/{index}/expression", condition, "BOOL")
        for index, condition in entries(spec.get("matchConditions"))
    ]
    validations = [
        reader.validation(f"/spec/validations/{index}", fields)
        for index, fields in entries(spec.get("validations"))
    ]
    for index, annotation in entries(spec.get("auditAnnotations")):
        reader.compiled(f"/spec/auditAnnotations/{index}/valueExpression", annotation, "")
    if not mapping(at(spec, "matchConstraints")).get("resourceRules"):
        reader.refuse("/spec/matchConstraints", "matchConstraints.resourceRules is required")
    for path, allowed in _CHOICES.items():
        if at(spec, *path) not in (None, *allowed):
            reader.refuse("/".join(("/spec", *path)), f"expected one of {', '.join(allowed)}")
    if not (validations or spec.get("auditAnnotations")):
        reader.refuse("/spec", "validations or auditAnnotations must have an entry")
    if reader.findings:
        return None, reader.findings
    param = mapping(spec.get("paramKind"))
    policy = Policy(
        manifest=manifest,
        match=Match(mapping(spec.get("matchConstraints"))),
        conditions=tuple(c for c in conditions if c is not None),
        validations=tuple(v for v in validations if v is not None),
        fails_closed=spec.get("failurePolicy") != "Ignore",
        param_kind=(text(param.get("apiVersion")), text(param.get("kind"))) if param else None,
    )
    return policy, []


class _Reader:
    """Compiles the parts of one policy and keeps what is wrong with them."""

    def __init__(self, manifest: LoadedManifest) -> None:
        self._manifest = manifest
        self._compiler = Compiler()
        self.findings: list[Finding] = []

    def declare(self, path: str, variable: dict[str, JsonValue]) -> None:
        name, expression = text(variable.get("name")), text(variable.get("expression"))
        self._try(f"{path}/expression", lambda: self._compiler.declare(name, expression))

    def compiled(
        self, path: str, fields: dict[str, JsonValue], result: str
    ) -> PolicyExpression | None:
        expression = text(fields.get(path.rpartition("/")[2]))
        return self._try(path, lambda: self._compiler.compile(expression, result))

    def validation(self, path: str, fields: dict[str, JsonValue]) -> Validation | None:
        expression = self.compiled(f"{path}/expression", fields, "BOOL")
        message_expression = (
            self.compiled(f"{path}/messageExpression", fields, "STRING")
            if fields.get("messageExpression")
            else None
        )
        if expression is None:
            return None
        message = text(fields.get("message")).strip()
        return Validation(expression, f"{path}/expression", message, message_expression)

    def refuse(self, path: str, message: str) -> None:
        self.findings.append(POLICY_INVALID.finding(self._manifest, message, path))

    def _try(self, path: str, attempt: Callable[[], Result]) -> Result | None:
        try:
            return attempt()
        except ExpressionError as error:
            self.refuse(path, _explained(str(error)))
            return None


def _explained(problem: str) -> str:
    """The first mistake with its place and caret, and what to use instead where that is known."""
    first = problem.removeprefix("INVALID_ARGUMENT: ").split("\nERROR: ")[0]
    first = first.removeprefix("ERROR: ").replace(" (in container '')", "")
    first = first.replace(" [INVALID_ARGUMENT]", "").replace("<input>:", "line ", 1)
    for name, hint in _HINTS.items():
        if f"'{name}'" in problem:
            return f"{first}\n{hint}"
    return first
