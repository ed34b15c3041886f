"""Kubernetes objects as plain JSON, and the little that is asked of them everywhere."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]
"""One decoded API object. The API server has validated it, so it is read, not checked again."""


def timestamp(now: float) -> str:
    """`metav1.Time`: whole seconds, UTC, from seconds since the epoch."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise_timestamp(now: float) -> str:
    """`metav1.MicroTime`: microseconds, UTC, from seconds since the epoch."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(text: str | None, default: float) -> float:
    """Seconds since the epoch of a `metav1.Time`; `default` where there is none."""
    return datetime.fromisoformat(text).timestamp() if text else default


def covers(live: object, desired: object) -> bool:
    """Whether the live value already says everything that the desired one says.

    The server adds defaults, and others own fields beside ours; neither is a difference. `None`
    asks for absence. Lists match item by item, except conditions, which match by type.
    """
    if isinstance(desired, Mapping):
        known = live if isinstance(live, Mapping) else {}
        return all(covers(known.get(key), value) for key, value in desired.items())
    if isinstance(desired, list):
        known_items = live if isinstance(live, list) else []
        if any(isinstance(item, Mapping) and "type" in item for item in desired):
            by_type = {item["type"]: item for item in known_items}
            return all(covers(by_type.get(item["type"]), item) for item in desired)
        return len(known_items) == len(desired) and all(
            covers(a, b) for a, b in zip(known_items, desired, strict=True)
        )
    # The server omits false, zero and empty values.
    return live == desired or (not live and not desired)
