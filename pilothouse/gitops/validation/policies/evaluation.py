"""One policy on one object: what the API server would answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.expressions import ExpressionError
from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.policies.defaults import defaulted
from pilothouse.gitops.validation.policies.expressions import PolicyExpression
from pilothouse.gitops.validation.policies.matching import Subject, Subjects
from pilothouse.gitops.validation.policies.parameters import Parameters
from pilothouse.gitops.validation.policies.place import place_of
from pilothouse.gitops.validation.policies.policy import Binding, Policy, Validation
from pilothouse.gitops.validation.policy_rules import (
    POLICY_ERROR,
    POLICY_NOT_JUDGED,
    POLICY_PREFIX,
)
from pilothouse.models.findings import Finding, Severity

_LONGEST_MESSAGE: Final = 5 * 1024


@dataclass(frozen=True, slots=True)
class OwnRuleCheck:
    """All policies of a repository, as one check of a set of objects."""

    rules: "tuple[OwnRule, ...]"

    def __call__(self, objects: ObjectSet) -> Iterator[Finding]:
        """Every violation of every policy by every object of the set."""
        subjects = Subjects(objects)
        pods = {id(pod.owner): pod for pod in objects.pods}
        for manifest in objects.manifests:
            subject = subjects.subject(manifest)
            covered = [(rule, rule.policy.match.covers(subject)) for rule in self.rules]
            if all(answer is False for _, answer in covered):
                continue
            data = _data(subject, defaulted(manifest, pods.get(id(manifest)), subject.namespace))
            for rule, answer in covered:
                if answer is not False:
                    yield from rule.judge(subject, data, known=answer is not None)


@dataclass(frozen=True, slots=True)
class OwnRule:
    """A policy with its bindings."""

    policy: Policy
    bindings: tuple[Binding, ...]
    parameters: Parameters

    def judge(
        self, subject: Subject, data: Mapping[str, object], *, known: bool
    ) -> Iterator[Finding]:
        """What the policy has against an object that it may be about.

        Args:
            subject: the object.
            data: what expressions may name.
            known: whether it is certain that the policy is about it.
        """
        said: set[tuple[str, str]] = set()
        for binding in self.bindings:
            bound = binding.match.covers(subject)
            if bound is False:
                continue
            if not known or bound is None:
                findings: Iterator[Finding] = iter([self._unknown_namespace(subject)])
            else:
                findings = self._bound(subject, data, binding)
            for finding in findings:
                if (finding.rule, finding.message) not in said:
                    said.add((finding.rule, finding.message))
                    yield finding

    def _bound(
        self, subject: Subject, data: Mapping[str, object], binding: Binding
    ) -> Iterator[Finding]:
        if self.policy.param_kind is None:
            yield from _Evaluation(self.policy, subject, binding.severity, data).findings()
            return
        found = self.parameters.of(self.policy.param_kind, binding.param_ref, subject.namespace)
        if not found and binding.param_ref.get("parameterNotFoundAction") != "Allow":
            message = f"{self.policy.name}: none of its parameters is in the folder of policies"
            yield _finding(self.policy, subject, binding.severity, message, rule=POLICY_ERROR.id)
        for parameter in found:
            own = {**data, "params": parameter}
            yield from _Evaluation(self.policy, subject, binding.severity, own).findings()

    def _unknown_namespace(self, subject: Subject) -> Finding:
        message = (
            f"{self.policy.name}: whether it counts here hangs on the labels of the Namespace, "
            "which is not among the objects"
        )
        return POLICY_NOT_JUDGED.finding(subject.manifest, message)


@dataclass(frozen=True, slots=True)
class _Evaluation:
    policy: Policy
    subject: Subject
    severity: Severity
    data: Mapping[str, object]

    def findings(self) -> Iterator[Finding]:
        """What the policy has against the object."""
        failed: tuple[PolicyExpression, str] | None = None
        for condition in self.policy.conditions:
            try:
                if condition.evaluate(self.data) is False:
                    return
            except ExpressionError as error:
                failed = failed or (condition, str(error))
        if failed is not None:
            yield self._failed(*failed, path="")
            return
        for validation in self.policy.validations:
            try:
                holds = validation.expression.evaluate(self.data) is True
            except ExpressionError as error:
                yield self._failed(validation.expression, str(error), path=validation.path)
                continue
            if not holds:
                yield self._violated(validation)

    def _violated(self, validation: Validation) -> Finding:
        return _finding(
            self.policy,
            self.subject,
            self.severity,
            self._message(validation),
            rule=f"{POLICY_PREFIX}{self.policy.name}",
            expression=validation.expression.whole.text,
            path=validation.path,
        )

    def _message(self, validation: Validation) -> str:
        """As the API server chooses it: the computed one if it is of use, else the written one."""
        if validation.message_expression is not None:
            try:
                computed = str(validation.message_expression.evaluate(self.data)).strip()
            except ExpressionError:
                computed = ""  # The API server falls back in the same way.
            if computed and "\n" not in computed and len(computed) <= _LONGEST_MESSAGE:
                return computed
        return validation.message or f"failed expression: {validation.expression.text.strip()}"

    def _failed(self, expression: PolicyExpression, problem: str, *, path: str) -> Finding:
        unknown = [name for name in self._unknown() if expression.mentions(name)]
        if unknown:
            message = f"{self.policy.name}: it asks for {unknown[0]}, which only the cluster knows"
            return POLICY_NOT_JUDGED.finding(self.subject.manifest, message)
        message = f"expression '{expression.text}' resulted in error: {problem}"
        return _finding(
            self.policy,
            self.subject,
            self.severity if self.policy.fails_closed else "warning",
            message,
            rule=POLICY_ERROR.id,
            expression=expression.whole.text,
            path=path,
        )

    def _unknown(self) -> Iterator[str]:
        """Inputs that the API server has and this check has not."""
        yield "request.userInfo"
        if self.subject.namespaced and self.subject.namespace_object is None:
            yield "namespaceObject"
        if self.subject.namespaced and not self.subject.namespace:
            yield "request.namespace"
            yield "object.metadata.namespace"


def _data(subject: Subject, body: dict[str, JsonValue]) -> dict[str, object]:
    kind = {"group": subject.group, "version": subject.version, "kind": subject.manifest.ref.kind}
    resource = {
        "group": subject.group,
        "version": subject.version,
        "resource": subject.resource,
    }
    request: dict[str, object] = {
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "operation": "CREATE",
        "name": subject.manifest.ref.name,
        "dryRun": False,
    }
    if subject.namespace or not subject.namespaced:
        request["namespace"] = subject.namespace
    return {
        "object": body,
        "oldObject": None,
        "request": request,
        "namespaceObject": subject.namespace_object if subject.namespaced else None,
        "params": None,
        "variables": {},
    }


def _finding(
    policy: Policy,
    subject: Subject,
    severity: Severity,
    message: str,
    *,
    rule: str,
    expression: str = "",
    path: str = "",
) -> Finding:
    """About the object, at the field that the expression reads; the fix names the policy."""
    manifest: LoadedManifest = subject.manifest
    where = f"{policy.manifest.manifest.file}:{policy.manifest.line_of(path)}"
    return manifest.finding(
        rule,
        severity,
        message,
        path=place_of(expression, manifest.body),
        fix=f"Keep the rule {policy.name}: see {where}.",
    )
