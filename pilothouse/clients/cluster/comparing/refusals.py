"""The server's refusals as findings: file, line, object, field, and what to do."""

import re
from typing import Final

from pilothouse.clients.cluster.answers import Refusal, ServerCause
from pilothouse.clients.cluster.comparing import takeover
from pilothouse.clients.cluster.comparing.objects import Objects, Placed
from pilothouse.gitops.diagnosis.text import quote
from pilothouse.gitops.health.fields import LiveObject, mapping
from pilothouse.gitops.manifests.places import escape
from pilothouse.gitops.opt_outs import unknown_values
from pilothouse.models.findings import Finding, Severity
from pilothouse.models.names import ANNOTATION_CONFLICTS, ANNOTATION_RECREATE
from pilothouse.models.objects import Manifest, ObjectRef

RULE: Final = "dry-run"
_MANAGER: Final = re.compile(r'conflict with "([^"]{1,128})"(?: with subresource "([^"]{1,64})")?')
_NOT_DECLARED: Final = re.compile(
    r'(\.\S{1,200}): field not declared in schema|unknown field "([^"]{1,200})"'
)
_IMMUTABLE: Final = re.compile(
    r"\bimmutable\b|cannot change roleRef|may not be changed|may not change"
    r"|[Uu]pdates to .{1,200} are forbidden|[Uu]pdates to statefulset spec"
)
"""How the kinds say that a field stands for ever; there is no code for it."""
_CIPHERTEXT: Final = "ENC["
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


def note(placed: Placed, reason: str) -> Finding:
    """Why the server cannot check an object now."""
    message = f"{reason}: the server can check it only then"
    return finding(placed.manifest, placed.ref, message, "info")


def of_unknown_kind(objects: Objects, placed: Placed) -> Finding:
    """The cluster does not serve a kind: the bundle brings it, or nobody does."""
    ref = placed.ref
    if objects.brings_kind(ref):
        return note(placed, "its kind comes with this bundle")
    message = f"the cluster has no kind {ref.kind} in {ref.api_version}"
    fix = "add its CustomResourceDefinition to Git, or correct apiVersion and kind"
    return finding(placed.manifest, ref, message, "error", fix)


def of_manifest(manifest: Manifest, ref: ObjectRef) -> tuple[Finding, ...]:
    """What must never be sent: annotations that mean nothing, and what is still encrypted."""
    found = [
        finding(
            manifest,
            ref,
            quote(f"the annotation {unknown.annotation} has the value {unknown.value!r}"),
            "error",
            f"use {unknown.allowed}",
        ).model_copy(update={"path": "/metadata/annotations/" + escape(unknown.annotation)})
        for unknown in unknown_values(manifest.body)
    ]
    if _is_encrypted(manifest.body):
        message = "it is encrypted with SOPS: applied as it is, its readers would get ciphertext"
        fix = "let an operator decrypt it in the cluster, e.g. as a SealedSecret or ExternalSecret"
        found.append(finding(manifest, ref, message, "error", fix))
    return tuple(found)


def _is_encrypted(body: LiveObject) -> bool:
    if isinstance(body.get("sops"), dict):
        return True
    values = [*mapping(body, "data").values(), *mapping(body, "stringData").values()]
    is_secret = body.get("kind") == "Secret"
    return is_secret and any(isinstance(v, str) and v.startswith(_CIPHERTEXT) for v in values)


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
    return tuple(dict.fromkeys(_manager(cause) for cause in conflicts(refusal)))


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
        step = match.group("index") or match.group("key") or match.group("name")
        steps.append(escape(step or ""))
    return "".join(f"/{step}" for step in steps)


def is_immutable(refusal: Refusal) -> bool:
    """Whether a live object refuses a change that a new object could make."""
    return refusal.code == 422 and bool(_IMMUTABLE.search(refusal.answer.message))


def immutable(manifest: Manifest, ref: ObjectRef, refusal: Refusal) -> Finding:
    """An immutable field differs, and nobody allowed a new object."""
    fix = (
        f"put it back, rename the object, or let it be deleted and made anew: annotate it with"
        f" {ANNOTATION_RECREATE}: allowed"
    )
    return refused(manifest, ref, refusal).model_copy(update={"fix": fix})


def _conflict(manifest: Manifest, ref: ObjectRef, refusal: Refusal) -> Finding:
    causes = conflicts(refusal)
    shown = "; ".join(f"{cause.field} belongs to {_manager(cause)}" for cause in causes[:10])
    more = f"; and {len(causes) - 10} more fields" if len(causes) > 10 else ""
    return finding(
        manifest,
        ref,
        quote(shown + more),
        "error",
        "remove the field from Git, let that manager give it up, or take it: annotate the object"
        f" with {ANNOTATION_CONFLICTS}: force",
    ).model_copy(update={"path": pointer(causes[0].field)})


def _manager(cause: ServerCause) -> str:
    found = _MANAGER.search(cause.message)
    name = found.group(1) if found else "another manager"
    return f"{name} ({found.group(2)})" if found and found.group(2) else name


def _unknown_field(message: str) -> str:
    """Where a field stands that the kind does not have: the server says it in words only."""
    found = _NOT_DECLARED.search(message)
    return pointer(found.group(1) or found.group(2)) if found else ""


def _fix(refusal: Refusal) -> str:
    message = refusal.answer.message
    if "not declared in schema" in message or "unknown field" in message:
        return "remove the field, or correct its name"
    if refusal.is_denied:
        return "grant it in the Role of this environment, or leave the object out"
    if refusal.code == 404:
        return "add what is missing to Git, or create it by hand first"
    if "exceeded quota" in message:
        return "ask for less, or raise the quota"
    return ""
