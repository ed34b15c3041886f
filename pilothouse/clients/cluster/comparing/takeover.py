"""Fields that a person's `kubectl` once set become ours, so that Git can remove them too.

Server-side apply removes what its own manager stops naming. A field that `kubectl` wrote belongs
to kubectl's manager: it would outlive its line in Git for ever.
"""

from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.health.fields import LiveObject, mapping, objects, text
from pilothouse.gitops.managed_fields import Path, is_ours, leaves, union, without
from pilothouse.models.names import FIELD_MANAGER

MANAGERS: Final = frozenset({
    "before-first-apply",
    "kubectl",
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-edit",
    "kubectl-patch",
    "kubectl-set",
})
"""Managers that stand for a person's edits of what is now in Git. Not `kubectl-rollout` and
`kubectl-scale`: what these wrote is a command that was carried out, not a wish to be undone."""


def managers(live: LiveObject) -> tuple[str, ...]:
    """Which of those managers still own a field of the object itself, each once."""
    entries = objects(live, "metadata", "managedFields")
    version = text(live, "apiVersion")
    return tuple(dict.fromkeys(text(e, "manager") for e in entries if _is_theirs(e, version)))


def patch(live: LiveObject) -> list[JsonValue]:
    """A JSON patch that makes their fields ours; refused if the object has changed since.

    Entries in another API version are left: their paths need not exist in this one.
    """
    version = text(live, "apiVersion")
    entries = objects(live, "metadata", "managedFields")
    theirs = [entry for entry in entries if _is_theirs(entry, version)]
    ours = [entry for entry in entries if _is_our_own(entry, version)]
    others = [dict(entry) for entry in entries if entry not in theirs and entry not in ours]
    fields: dict[str, JsonValue] = {}
    for entry in (*ours, *theirs):
        fields = union(fields, mapping(entry, "fieldsV1"))
    merged: dict[str, JsonValue] = {
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*others, merged]},
        {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": text(live, "metadata", "resourceVersion"),
        },
    ]


def outcome(live: LiveObject, answer: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """What an apply after the patch would leave, from a rehearsal without it.

    The fields that only kubectl stated go. A default that the server would put in the place of one
    is not foreseen: then the review shows it as removed.

    Args:
        live: the object as it is.
        answer: the whole object that answered the rehearsal.
    """
    version = text(live, "apiVersion")
    theirs: set[Path] = set()
    stated: set[Path] = set()
    for entry in objects(answer, "metadata", "managedFields"):
        places = set(leaves(mapping(entry, "fieldsV1")))
        if _is_theirs(entry, version):
            theirs |= places
        else:
            stated |= places
    return without(answer, sorted(theirs - stated))


def _is_theirs(entry: LiveObject, version: str) -> bool:
    return text(entry, "manager") in MANAGERS and _is_of_the_object(entry, version)


def _is_our_own(entry: LiveObject, version: str) -> bool:
    return is_ours(entry) and text(entry, "apiVersion") == version


def _is_of_the_object(entry: LiveObject, version: str) -> bool:
    """A subresource's fields, such as a scale's, are a statement of their own."""
    return not text(entry, "subresource") and text(entry, "apiVersion") == version
