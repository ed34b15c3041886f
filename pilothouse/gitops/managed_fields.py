"""What `managedFields` says about an object: who stated which field, and what that proves.

A field manager's entry is a tree of the fields that it stated: `f:name` is a key of a map,
`k:{...}` an item of a list by its merge key, `v:...` an item of a set, `.` the place itself, and
`{}` a leaf: a scalar, or a map or list that is replaced as a whole.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.health.fields import LiveObject, mapping, objects, text
from pilothouse.models.names import FIELD_MANAGER

Fields = Mapping[str, JsonValue]
"""A tree of `fieldsV1`."""
Path = tuple[str, ...]
"""The keys of a tree from its root to one of its places."""

_ITSELF: Final = "."
_NEVER_STATED: Final = frozenset({
    "creationTimestamp", "generation", "managedFields", "name", "namespace", "resourceVersion",
    "selfLink", "uid",
})  # fmt: skip
"""Metadata that server-side apply leaves out of every entry."""
_OMITTED: Final = frozenset({
    "annotations", "args", "command", "creationTimestamp", "data", "env", "envFrom",
    "imagePullSecrets", "initContainers", "labels", "nodeSelector", "ports", "tolerations", "value",
    "volumeMounts", "volumes",
})  # fmt: skip
"""Fields of Kubernetes' own kinds of which empty, null and absent mean the same and are stored as
absent. Elsewhere they may differ: an empty selector selects everything, an absent one nothing."""


def is_settled(wanted: Mapping[str, JsonValue], live: LiveObject) -> bool:
    """Whether applying `wanted` would certainly change nothing, judged without asking the server.

    True only if our one entry of this API version states exactly the fields of `wanted`, and the
    live object holds each of them with the very same value, list items in the same order. Where
    that cannot be seen (another spelling of a quantity, a merge key given twice, a `null`), the
    answer is False, which only means: ask the server.

    Args:
        wanted: the body as it would be sent, owner label included.
        live: the whole live object with its `managedFields`.
    """
    ours = [entry for entry in objects(live, "metadata", "managedFields") if is_ours(entry)]
    if len(ours) != 1 or text(ours[0], "apiVersion") != text(wanted, "apiVersion"):
        return False
    fields = mapping(ours[0], "fieldsV1")
    stated = {k: v for k, v in wanted.items() if k not in {"apiVersion", "kind", "metadata"}}
    if stated.get("status") == {} and "f:status" not in fields:
        # Where status has its own subresource, what an apply says about it is passed over.
        del stated["status"]
    metadata = {k: v for k, v in mapping(wanted, "metadata").items() if k not in _NEVER_STATED}
    if metadata:
        stated["metadata"] = metadata
    omitted = _OMITTED if _is_built_in(text(wanted, "apiVersion")) else frozenset[str]()
    return _in_map(fields, stated, live, omitted)


def is_ours(entry: LiveObject) -> bool:
    """Whether an entry is what our own applies stated about the object itself."""
    ours = text(entry, "manager") == FIELD_MANAGER and text(entry, "operation") == "Apply"
    return ours and not text(entry, "subresource")


def leaves(fields: Fields, path: Path = ()) -> Iterator[Path]:
    """Every leaf of a tree, and every item of a list."""
    for key, below in fields.items():
        if key == _ITSELF:
            if path and path[-1].startswith("k:"):
                yield path
        elif isinstance(below, dict) and below:
            yield from leaves(below, (*path, key))
        else:
            yield (*path, key)


def union(one: dict[str, JsonValue], other: Fields) -> dict[str, JsonValue]:
    """Both trees in one."""
    merged = dict(one)
    for key, value in other.items():
        mine = merged.get(key)
        both = isinstance(mine, dict) and isinstance(value, dict)
        merged[key] = union(mine, value) if both else value  # type: ignore[arg-type]  # both are dicts
    return merged


def without(whole: LiveObject, places: Sequence[Path]) -> dict[str, JsonValue]:
    """A copy of an object that lacks these places; what is not there is passed over."""
    copy: dict[str, JsonValue] = json.loads(json.dumps(whole))
    for place in sorted(places, key=len, reverse=True):
        _remove(copy, place)
    return copy


def _in_map(fields: Fields, wanted: JsonValue, live: object, omitted: frozenset[str]) -> bool:
    if not isinstance(wanted, dict) or not isinstance(live, Mapping):
        return False
    stated = {key for key in fields if key != _ITSELF}
    for name, value in wanted.items():
        key = f"f:{name}"
        if name not in live:
            if name not in omitted or not _is_empty(value) or fields.get(key):
                return False
        elif key not in stated or not _holds(fields[key], value, live[name], omitted):
            return False
        stated.discard(key)
    return not stated


def _holds(fields: JsonValue, wanted: JsonValue, live: object, omitted: frozenset[str]) -> bool:
    """Whether a place holds what is wanted, and we state just that."""
    if not isinstance(fields, dict):
        return False
    if not fields or fields.keys() == {_ITSELF}:
        return wanted is not None and _same(wanted, live)
    if isinstance(wanted, list):
        return _in_list(fields, wanted, live, omitted)
    return _in_map(fields, wanted, live, omitted)


def _in_list(
    fields: Fields, wanted: list[JsonValue], live: object, omitted: frozenset[str]
) -> bool:
    keys = [key for key in fields if key != _ITSELF]
    if not isinstance(live, list) or len(keys) != len(wanted):
        return False
    if all(key.startswith("v:") for key in keys):
        stated = [json.loads(key[2:]) for key in keys]
        kept = [item for item in live if item in wanted]
        return kept == wanted and all(item in wanted for item in stated)
    if not all(key.startswith("k:") for key in keys):
        return False
    return _in_keyed_list(fields, wanted, live, omitted)


def _in_keyed_list(
    fields: Fields, wanted: list[JsonValue], live: list[JsonValue], omitted: frozenset[str]
) -> bool:
    """Each wanted item has one key, each key one live item, and their order is the same."""
    merge_keys = {key: json.loads(key[2:]) for key in fields if key != _ITSELF}
    last, used = -1, set[str]()
    for item in wanted:
        mine = [key for key, names in merge_keys.items() if _may_be(item, names)]
        if len(mine) != 1 or mine[0] in used:
            return False
        used.add(mine[0])
        places = [i for i, one in enumerate(live) if _is(one, merge_keys[mine[0]])]
        if len(places) != 1 or places[0] < last:
            return False
        last = places[0]
        if not _holds(fields[mine[0]], item, live[last], omitted):
            return False
    return True


def _may_be(item: JsonValue, names: object) -> bool:
    """Whether an item has this merge key, or leaves a part of it to the default."""
    if not isinstance(item, dict) or not isinstance(names, dict):
        return False
    return all(_same(item.get(name, value), value) for name, value in names.items())


def _is(item: JsonValue, names: object) -> bool:
    if not isinstance(item, dict) or not isinstance(names, dict):
        return False
    return all(name in item and _same(item[name], value) for name, value in names.items())


def _is_empty(value: JsonValue) -> bool:
    return value is None or value in ({}, [], "")


def _is_built_in(api_version: str) -> bool:
    group = api_version.rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def _same(one: object, other: object) -> bool:
    """Equal as JSON: in Python `True == 1` and `1 == 1.0`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other


def _remove(whole: JsonValue, place: Path) -> None:
    step, rest = place[0], place[1:]
    if isinstance(whole, dict) and step.startswith("f:"):
        if rest:
            _remove(whole.get(step[2:]), rest)
        else:
            whole.pop(step[2:], None)
    elif isinstance(whole, list):
        key = json.loads(step[2:])
        found = [one for one in whole if (_is(one, key) if step[0] == "k" else one == key)]
        for item in found:
            if rest:
                _remove(item, rest)
            else:
                whole.remove(item)
