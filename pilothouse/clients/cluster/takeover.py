"""Fields that client-side apply once owned become ours, so that Git can remove them too.

Server-side apply removes what its own manager stops naming. A field that `kubectl apply` wrote
belongs to kubectl's manager: it would outlive its line in Git for ever.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.health.fields import LiveObject, objects, text
from pilothouse.models.names import FIELD_MANAGER

MANAGERS: Final = frozenset({"kubectl-client-side-apply", "kubectl", "before-first-apply"})
"""Managers that stand for a person's `kubectl apply` of the same files."""


def is_needed(live: LiveObject) -> bool:
    """Whether one of those managers still owns a field of the object itself."""
    entries = objects(live, "metadata", "managedFields")
    return any(_is_theirs(entry, text(live, "apiVersion")) for entry in entries)


def patch(live: LiveObject) -> list[JsonValue]:
    """A JSON patch that makes their fields ours; refused if the object has changed since.

    Entries in another API version are left: their paths need not exist in this one.
    """
    version = text(live, "apiVersion")
    entries = objects(live, "metadata", "managedFields")
    theirs = [entry for entry in entries if _is_theirs(entry, version)]
    ours = [entry for entry in entries if _is_ours(entry, version)]
    others = [dict(entry) for entry in entries if entry not in theirs and entry not in ours]
    fields: dict[str, JsonValue] = {}
    for entry in (*ours, *theirs):
        owned = entry.get("fieldsV1")
        fields = _union(fields, owned if isinstance(owned, dict) else {})
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


def _is_theirs(entry: LiveObject, version: str) -> bool:
    return text(entry, "manager") in MANAGERS and _is_of_the_object(entry, version)


def _is_ours(entry: LiveObject, version: str) -> bool:
    ours = text(entry, "manager") == FIELD_MANAGER and text(entry, "operation") == "Apply"
    return ours and _is_of_the_object(entry, version)


def _is_of_the_object(entry: LiveObject, version: str) -> bool:
    """A subresource's fields, such as a scale's, are a statement of their own."""
    return not text(entry, "subresource") and text(entry, "apiVersion") == version


def _union(one: dict[str, JsonValue], other: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    merged = dict(one)
    for key, value in other.items():
        mine = merged.get(key)
        if isinstance(mine, dict) and isinstance(value, dict):
            merged[key] = _union(mine, value)
        else:
            merged[key] = value
    return merged
