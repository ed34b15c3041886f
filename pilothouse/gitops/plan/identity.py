"""By what the things of a list are known, so that one more at its head is one difference.

The API server merges the lists of built-in kinds by such keys; for lists that it takes whole they
make a difference readable all the same.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import JsonValue

Identity = tuple[JsonValue, ...]

_KEYS: Final[tuple[tuple[str, ...], ...]] = (
    ("name",),
    ("containerPort", "protocol"),
    ("port", "protocol"),
    ("mountPath",),
    ("devicePath",),
    ("topologyKey", "whenUnsatisfiable"),
    ("host",),
    ("path", "pathType"),
    ("ip",),
    ("uid",),
    ("type",),
    ("key",),
    ("id",),
)
"""The first that tells all items of both lists apart is taken; only the first field is required."""
_DEFAULTS: Final[Mapping[str, JsonValue]] = {"protocol": "TCP"}
_SCALARS: Final = (str, int, float)


def identities(
    live: Sequence[JsonValue], wanted: Sequence[JsonValue]
) -> tuple[dict[Identity, int], dict[Identity, int]] | None:
    """Each item's place by its identity, in both lists; None where they cannot be told apart."""
    if not all(isinstance(item, dict) for item in (*live, *wanted)):
        return None
    for key in _KEYS:
        one, other = _places(live, key), _places(wanted, key)
        if one is not None and other is not None:
            return one, other
    return None


def label(item: JsonValue) -> str:
    """What people call an item of a list; empty if it has no name of its own."""
    if not isinstance(item, dict):
        return ""
    for key in _KEYS:
        found = item.get(key[0])
        if isinstance(found, _SCALARS) and not isinstance(found, bool) and found != "":
            return str(found)
    return ""


def _places(items: Sequence[JsonValue], key: tuple[str, ...]) -> dict[Identity, int] | None:
    places: dict[Identity, int] = {}
    for index, item in enumerate(items):
        found = identity(item, key)
        if found is None or found in places:
            return None
        places[found] = index
    return places


def identity(item: JsonValue, key: tuple[str, ...]) -> Identity | None:
    """An item's values of the key's fields; None if its first is not a name or a number."""
    if not isinstance(item, dict):
        return None
    values = tuple(item.get(field, _DEFAULTS.get(field, "")) for field in key)
    if key[0] not in item or not all(isinstance(value, _SCALARS) for value in values):
        return None
    # `1 == True == 1.0`: in JSON they are different things.
    return tuple(f"{type(value).__name__}:{value}" for value in values)
