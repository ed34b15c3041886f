"""Exceptions from rules, by annotation on the object, each with a reason and an end.

`exception.pilothouse.dev/<rule>: "until 2027-03-31: the reason"` turns a rule's findings about the
object into notes until that day is over. What a cluster would refuse anyway cannot be excepted.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.places import escape
from pilothouse.gitops.validation.loading_rules import LOADING_RULES
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, mapping, text
from pilothouse.models.findings import Finding
from pilothouse.models.names import EXCEPTION_PREFIX

INVALID = Rule(
    "exception-invalid",
    "warning",
    "An exception cannot be granted",
    "It has no effect, though somebody relies on it.",
    'Write `exception.pilothouse.dev/<rule>: "until 2027-03-31: the reason"`, or remove it.',
)
EXPIRED = Rule(
    "exception-expired",
    "warning",
    "An exception has expired",
    "The finding that it covered is back.",
    "Repair what the rule finds, or agree on a new date.",
)
RULES = (INVALID, EXPIRED)
_FORM = re.compile(r"until (\d{4}-\d{2}-\d{2}):\s*(\S.*)", re.DOTALL)
_BINDING = frozenset({rule.id for rule in (*LOADING_RULES, *RULES)}) | {
    "api-version",
    "policy-error",
    "policy-invalid",
    "schema",
}
_POLICY = "policy/"
_POLICY_KEY = "policy."
"""An annotation's key holds one slash only, so `policy/<name>` is written `policy.<name>`."""


@dataclass(frozen=True, slots=True)
class _Exception:
    rule: str
    until: date
    reason: str
    manifest: LoadedManifest
    below: str
    """JSON pointer of the part of the object that it covers."""
    path: str
    """JSON pointer of the annotation."""

    def covers(self, finding: Finding) -> bool:
        return finding.rule == self.rule and (
            not self.below
            or finding.path == self.below
            or finding.path.startswith(self.below + "/")
        )


def apply_exceptions(
    objects: ObjectSet, findings: list[Finding], rules: Collection[str], today: date | None
) -> list[Finding]:
    """The findings, those that are excepted as notes, and what is wrong with exceptions.

    Args:
        objects: the objects whose annotations count.
        findings: everything that was found about them.
        rules: the ids of all rules, but for a repository's own ones.
        today: decides what has expired; None: nothing has.
    """
    granted: dict[tuple[str, str], list[_Exception]] = {}
    problems: list[Finding] = []
    for manifest, below, path, annotations in _annotations(objects):
        for key, value in annotations.items():
            if not key.startswith(EXCEPTION_PREFIX):
                continue
            where = f"{path}/{escape(key)}"
            read = _read(manifest, below, where, key.removeprefix(EXCEPTION_PREFIX), value, rules)
            if isinstance(read, Finding):
                problems.append(read)
            elif today is not None and today > read.until:
                told = f'the exception from "{read.rule}" ended on {read.until}: {read.reason}'
                problems.append(EXPIRED.finding(manifest, told, where))
            else:
                key_of_object = (manifest.manifest.file, str(manifest.ref))
                granted.setdefault(key_of_object, []).append(read)
    if not granted:
        return [*findings, *problems]
    return [*_applied(findings, granted), *problems]


def _annotations(
    objects: ObjectSet,
) -> Iterator[tuple[LoadedManifest, str, str, dict[str, JsonValue]]]:
    """Annotations of objects and of their pods: object, what they cover, their pointer, they."""
    for manifest in objects.manifests:
        annotations = mapping(at(manifest.body, "metadata", "annotations"))
        if annotations:
            yield manifest, "", "/metadata/annotations", annotations
    for pod in objects.pods:
        if pod.annotations and pod.kind != "Pod":
            below = pod.path.removesuffix("/spec")
            yield pod.owner, below, f"{pod.metadata_path}/annotations", pod.annotations


def _read(
    manifest: LoadedManifest,
    below: str,
    path: str,
    name: str,
    value: JsonValue,
    rules: Collection[str],
) -> _Exception | Finding:
    rule = name
    if name.startswith(_POLICY_KEY):
        rule = _POLICY + name.removeprefix(_POLICY_KEY)
    elif rule not in rules:
        return INVALID.finding(manifest, f'there is no rule "{rule}"', path)
    if rule in _BINDING or rule.startswith("pod-security-"):
        told = f'"{rule}" cannot be excepted: the cluster, or the pipeline, would refuse it anyway'
        return INVALID.finding(manifest, told, path)
    form = _FORM.fullmatch(text(value).strip())
    if form is None:
        told = f'the exception from "{rule}" needs a last day and a reason'
        return INVALID.finding(manifest, told, path)
    try:
        until = date.fromisoformat(form[1])
    except ValueError:
        return INVALID.finding(manifest, f'"{form[1]}" is not a day', path)
    return _Exception(rule, until, " ".join(form[2].split()), manifest, below, path)


def _applied(
    findings: list[Finding], granted: dict[tuple[str, str], list[_Exception]]
) -> Iterator[Finding]:
    refused: set[str] = set()
    for finding in findings:
        mine = granted.get((finding.file, finding.object), ())
        exception = next((one for one in mine if one.covers(finding)), None)
        if exception is None:
            yield finding
        elif finding.severity == "error" and not finding.rule.startswith(_POLICY):
            yield finding
            where = f"{finding.file} {finding.object} {exception.path}"
            if where not in refused:
                refused.add(where)
                told = f'"{finding.rule}" cannot be excepted here: it is an error'
                yield INVALID.finding(exception.manifest, told, exception.path)
        else:
            told = f"excepted until {exception.until} ({exception.reason}): {finding.message}"
            yield finding.model_copy(update={"severity": "info", "message": told})
