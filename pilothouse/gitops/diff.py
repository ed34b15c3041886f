"""Which fields differ between two forms of one object, as JSON pointers.

Values never leave this module: a pointer says where two objects differ, and what stands there may
be secret.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import JsonValue

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


def changed_fields(live: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> list[str]:
    """List the JSON pointers at which two forms of one object differ.

    `status`, what the server writes into `metadata`, and client-side apply's annotation are left
    out. A list of named things (containers, ports, variables) is compared by name, so that one
    more at its head is one difference; a pointer then counts places in `wanted`, and in `live` for
    what is gone from `wanted`.

    Returns:
        Pointers in the order of `wanted`, each the deepest place of its difference.
    """
    return list(_differences("", _normal(live), _normal(wanted)))


def _normal(whole: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    kept = {key: value for key, value in whole.items() if key != "status"}
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


def _differences(path: str, live: JsonValue, wanted: JsonValue) -> Iterator[str]:
    if isinstance(live, dict) and isinstance(wanted, dict):
        yield from _in_maps(path, live, wanted)
    elif isinstance(live, list) and isinstance(wanted, list):
        yield from _in_lists(path, live, wanted)
    elif live != wanted or isinstance(live, bool) != isinstance(wanted, bool):
        # In Python `1 == True`; in JSON they are different things.
        yield path


def _in_maps(path: str, live: dict[str, JsonValue], wanted: dict[str, JsonValue]) -> Iterator[str]:
    for key in [*wanted, *(key for key in live if key not in wanted)]:
        place = f"{path}/{_escape(key)}"
        if key in live and key in wanted:
            yield from _differences(place, live[key], wanted[key])
        else:
            yield place


def _in_lists(path: str, live: list[JsonValue], wanted: list[JsonValue]) -> Iterator[str]:
    live_names, wanted_names = _names(live), _names(wanted)
    if live_names is None or wanted_names is None:
        yield from _by_place(path, live, wanted)
        return
    if _moved(live_names, wanted_names):
        yield path
    for name, index in wanted_names.items():
        if name in live_names:
            yield from _differences(f"{path}/{index}", live[live_names[name]], wanted[index])
        else:
            yield f"{path}/{index}"
    yield from (f"{path}/{i}" for name, i in live_names.items() if name not in wanted_names)


def _by_place(path: str, live: list[JsonValue], wanted: list[JsonValue]) -> Iterator[str]:
    for index in range(max(len(live), len(wanted))):
        place = f"{path}/{index}"
        if index < len(live) and index < len(wanted):
            yield from _differences(place, live[index], wanted[index])
        else:
            yield place


def _names(items: list[JsonValue]) -> dict[str, int] | None:
    """Each item's place by its name; None if they are not all named, each differently."""
    names: dict[str, int] = {}
    for index, item in enumerate(items):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name in names:
            return None
        names[name] = index
    return names


def _moved(live: dict[str, int], wanted: dict[str, int]) -> bool:
    """Whether the things that both have stand in another order."""
    return [name for name in live if name in wanted] != [name for name in wanted if name in live]


def _escape(key: str) -> str:
    """A key as a step of a JSON pointer, RFC 6901."""
    return key.replace("~", "~0").replace("/", "~1")
