"""The server's refusals as findings: file, line, object, field, and what to do."""

import re
from typing import Final

from pilothouse.clients.cluster import takeover
from pilothouse.clients.cluster.answers import Refusal, ServerCause
from pilothouse.gitops.diagnosis.text import quote
from pilothouse.models.findings import Finding, Severity
from pilothouse.models.objects import Manifest, ObjectRef

RULE: Final = "dry-run"
_MANAGER: Final = re.compile(r'conflict with "([^"]{1,128})"(?: with subresource "([^"]{1,64})")?')
_NOT_DECLARED: Final = re.compile(
    r'(\.\S{1,200}): field not declared in schema|unknown field "([^"]{1,200})"'
)
_STEP: Final = re.compile(r"""\[(?P<index>\d+)\]|\["?(?P<key>[^"\]]*)"?\]|(?P<name>[^.\[\]]+)""")


def finding(
    manifest: Manifest, ref: ObjectRef, message: str, severity: Severity, fix: str = ""
) -> Finding:
    """One finding about one object, at its place in Git."""
    return Finding(
        rule=RULE,
        severity=severity,
        file=manifest.file,
        line=manifest.line,
        object=str(ref),
        message=message,
        fix=fix,
    )


def refused(manifest: Manifest, ref: ObjectRef, refusal: Refusal) -> Finding:
    """Why the API server would not take one object."""
    if conflicts(refusal):
        return _conflict(manifest, ref, refusal)
    answer = refusal.answer
    # A Secret's refusal may quote its value: then only the fields are named.
    causes = answer.causes[:5]
    if ref.kind == "Secret":
        fields = ", ".join(cause.field for cause in causes) or "it"
        message = f"the API server refuses {fields} ({answer.reason or answer.code})"
    else:
        message = quote(answer.message)
    path = pointer(causes[0].field) if causes else _unknown_field(answer.message)
    return finding(manifest, ref, message, "error", _fix(refusal)).model_copy(update={"path": path})


def conflicts(refusal: Refusal) -> tuple[ServerCause, ...]:
    """The fields that other managers own; empty if the refusal is about something else."""
    if refusal.code != 409:
        return ()
    return tuple(c for c in refusal.answer.causes if c.reason == "FieldManagerConflict")


def managers(refusal: Refusal) -> tuple[str, ...]:
    """Who owns the fields in conflict, each once: `kubectl-edit`, `hpa (scale)`."""
    names: dict[str, None] = {}
    for cause in conflicts(refusal):
        found = _MANAGER.search(cause.message)
        name = found.group(1) if found else "another manager"
        if found and found.group(2):
            name += f" ({found.group(2)})"
        names[name] = None
    return tuple(names)


def may_take_over(refusal: Refusal) -> bool:
    """Whether every field in conflict belongs to a manager that stands for `kubectl apply`."""
    found = managers(refusal)
    return bool(found) and all(name in takeover.MANAGERS for name in found)


def pointer(field: str) -> str:
    """The server's `.spec.containers[0].image` as a JSON pointer.

    A place that the server gives by key (`containers[name="api"]`) keeps the key's text.
    """
    steps = []
    for match in _STEP.finditer(field):
        step = match.group("index") or match.group("key") or match.group("name") or ""
        steps.append(step.replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{step}" for step in steps)


def _conflict(manifest: Manifest, ref: ObjectRef, refusal: Refusal) -> Finding:
    causes = conflicts(refusal)
    names = ", ".join(managers(refusal))
    fields = ", ".join(cause.field for cause in causes[:5])
    return finding(
        manifest,
        ref,
        quote(f"{fields} belongs to the field manager {names}"),
        "error",
        "remove the field from Git, or let that manager give it up",
    ).model_copy(update={"path": pointer(causes[0].field)})


def _unknown_field(message: str) -> str:
    """Where a field stands that the kind does not have: the server says it in words only."""
    found = _NOT_DECLARED.search(message)
    return pointer(found.group(1) or found.group(2)) if found else ""


def _fix(refusal: Refusal) -> str:
    message = refusal.answer.message
    if "field is immutable" in message or "updates to statefulset spec" in message:
        return "rename the object, or delete the live one by hand first"
    if "not declared in schema" in message or "unknown field" in message:
        return "remove the field, or correct its name"
    if refusal.is_denied:
        return "grant it in the Role of this environment, or leave the object out"
    if refusal.code == 404:
        return "add what is missing to Git, or create it by hand first"
    if "exceeded quota" in message:
        return "ask for less, or raise the quota"
    return ""
