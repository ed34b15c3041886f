"""What is sent to the API server for an object of which others own some fields."""

import json
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from pilothouse.gitops.plan.identity import identities
from pilothouse.gitops.plan.pointers import Pattern, below, is_met, patterns_for
from pilothouse.gitops.validation.shapes import at, mapping
from pilothouse.models.names import FIELD_MANAGER
from pilothouse.models.objects import ObjectRef
from pilothouse.models.pipeline import IgnoreRule

Owners = tuple[dict[str, JsonValue], ...]
"""For each other field manager, what it owns at a place, in the form of `managedFields`."""


def without_ignored(
    body: dict[str, JsonValue],
    live: Mapping[str, JsonValue] | None,
    ref: ObjectRef,
    ignore: Sequence[IgnoreRule],
) -> dict[str, JsonValue]:
    """The manifest as it is applied to a live object: ignored fields keep their live value.

    A field that another manager owns is left out: it stays that manager's. A field that only we
    own would be removed by server-side apply if we left it out, so it carries the live value. What
    the live object lacks is left out.

    Args:
        body: the manifest.
        live: the whole live object with its managedFields; None on a create, which takes all.
        ref: which object it is.
        ignore: the environment's rules.

    Returns:
        A copy; the body itself where no rule fits.
    """
    patterns = patterns_for(ref, ignore)
    if not patterns or live is None:
        return body
    return _map(body, live, patterns, tuple(_others(live)))


def _others(live: Mapping[str, JsonValue]) -> Iterator[dict[str, JsonValue]]:
    entries = at(dict(live), "metadata", "managedFields")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("manager") != FIELD_MANAGER:
            yield mapping(entry.get("fieldsV1"))


def _map(
    body: Mapping[str, JsonValue],
    live: Mapping[str, JsonValue],
    patterns: Sequence[Pattern],
    owners: Owners,
) -> dict[str, JsonValue]:
    kept: dict[str, JsonValue] = {}
    for key, value in body.items():
        inner = below(patterns, key)
        theirs = _owned(owners, f"f:{key}")
        if not is_met(inner):
            kept[key] = _value(value, live.get(key), inner, theirs)
        elif key in live and not theirs:
            kept[key] = live[key]
    return kept


def _value(
    value: JsonValue, live: JsonValue, patterns: Sequence[Pattern], owners: Owners
) -> JsonValue:
    if not patterns:
        return value
    if isinstance(value, dict) and isinstance(live, dict):
        return _map(value, live, patterns, owners)
    if isinstance(value, list) and isinstance(live, list):
        return _list(value, live, patterns, owners)
    return value


def _list(
    body: list[JsonValue], live: list[JsonValue], patterns: Sequence[Pattern], owners: Owners
) -> list[JsonValue]:
    places = _live_places(body, live)
    kept: list[JsonValue] = []
    for index, item in enumerate(body):
        inner = below(patterns, str(index))
        place = places.get(index)
        counterpart = live[place] if place is not None else None
        theirs = _of_item(owners, counterpart, place)
        if not is_met(inner):
            kept.append(_value(item, counterpart, inner, theirs))
        elif counterpart is not None and not theirs:
            kept.append(counterpart)
    return kept


def _live_places(body: list[JsonValue], live: list[JsonValue]) -> dict[int, int]:
    """Where each item of the manifest stands in the live list: by name, else by place."""
    named = identities(live, body)
    if named is None:
        return {index: index for index in range(min(len(body), len(live)))}
    live_places, body_places = named
    return {i: live_places[name] for name, i in body_places.items() if name in live_places}


def _owned(owners: Owners, key: str) -> Owners:
    """What the others own one step down; one that owns a place whole owns what is below it."""
    return tuple(mapping(owned[key]) for owned in owners if key in owned)


def _of_item(owners: Owners, item: JsonValue, place: int | None) -> Owners:
    return tuple(
        mapping(fields)
        for owned in owners
        for key, fields in owned.items()
        if _names(key, item, place)
    )


def _names(key: str, item: JsonValue, place: int | None) -> bool:
    """Whether a key of `managedFields` (`k:{"name":"a"}`, `v:"x"`, `i:0`) means a list's item."""
    form, _, text = key.partition(":")
    if form == "i":
        return text == str(place)
    if form not in {"k", "v"}:
        return False
    try:
        meant = json.loads(text)
    except ValueError:
        return False
    if form == "v":
        return bool(meant == item)
    return isinstance(item, dict) and mapping(meant).items() <= item.items()
