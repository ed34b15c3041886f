"""An object without what means nothing in a comparison."""

import base64
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from pilothouse.models.objects import Manifest, ObjectRef

_SERVER_FIELDS: Final = frozenset({
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
})
"""Metadata that the API server writes: it differs between any two looks and means nothing."""
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""What client-side apply leaves behind: a copy of the manifest, never a wish of its own."""


def ref_of(body: Mapping[str, JsonValue]) -> ObjectRef:
    """The identity that an object states itself."""
    return Manifest.model_construct(file="", line=0, body=dict(body)).ref


def is_secret(body: Mapping[str, JsonValue]) -> bool:
    """Whether it is a Secret of the core API: all its values are nobody's business."""
    return body.get("kind") == "Secret" and body.get("apiVersion") in {"v1", None}


def normal(whole: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """An object without status and what the server writes into its metadata.

    A Secret's `stringData` is what its `data` will be, as the API server keeps it.
    """
    kept = {key: value for key, value in whole.items() if key != "status"}
    if is_secret(kept):
        kept = _with_data(kept)
    metadata = kept.get("metadata")
    if not isinstance(metadata, dict):
        return kept
    fields = {key: value for key, value in metadata.items() if key not in _SERVER_FIELDS}
    annotations = fields.get("annotations")
    if isinstance(annotations, dict):
        fields["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
    # The server leaves out an empty map of labels or annotations, or not, by its history.
    kept["metadata"] = {key: value for key, value in fields.items() if value not in ({}, None)}
    return kept


def _with_data(secret: dict[str, JsonValue]) -> dict[str, JsonValue]:
    plain, data = secret.get("stringData"), secret.get("data")
    if not isinstance(plain, dict) or not isinstance(data, dict | None):
        return secret
    encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in plain.items()}
    kept: dict[str, JsonValue] = {k: v for k, v in secret.items() if k != "stringData"}
    kept["data"] = {**(data or {}), **encoded}
    return kept
