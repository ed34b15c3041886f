"""Total readers of live objects: a field of the wrong type reads as absent, never as an error.

Live objects come from controllers that we do not know. A custom resource may hold a list where
another one holds a string, and a health check must survive both.
"""

from collections.abc import Mapping

from pydantic import JsonValue

from pilothouse.models.objects import ObjectRef

LiveObject = Mapping[str, JsonValue]
"""An object as the API server answers it."""


def at(value: object, *path: str) -> object:
    """The value at a path of keys, or None where the path ends early."""
    for key in path:
        # What comes out of JSON is a dict, and to know that costs a tenth of asking for a Mapping.
        if not isinstance(value, dict) and not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def text(value: object, *path: str) -> str:
    """The string at a path; empty if it is none."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def number(value: object, *path: str, default: int = 0) -> int:
    """The whole number at a path; the default if it is none."""
    found = at(value, *path)
    if isinstance(found, bool) or not isinstance(found, int):
        return default
    return found


def flag(value: object, *path: str) -> bool:
    """Whether the value at a path is `true`."""
    return at(value, *path) is True


def mapping(value: object, *path: str) -> LiveObject:
    """The object at a path; empty if it is none."""
    found = at(value, *path)
    return found if isinstance(found, Mapping) else {}


def objects(value: object, *path: str) -> list[LiveObject]:
    """The objects in the list at a path; whatever else the list holds is left out."""
    found = at(value, *path)
    if not isinstance(found, list):
        return []
    return [item for item in found if isinstance(item, Mapping)]


def values(value: object, path: str) -> list[object]:
    """Every value at a dotted path below an object; `*` stands for each item of a list or map."""
    found = [value]
    for step in path.split("."):
        if step == "*":
            found = [item for one in found for item in _items(one)]
        else:
            found = [at(one, step) for one in found]
    return [one for one in found if one is not None]


def _items(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


def conditions(live: LiveObject) -> dict[str, LiveObject]:
    """`status.conditions` by type; the last one wins, as controllers append."""
    return {text(item, "type"): item for item in objects(live, "status", "conditions")}


def ref_of(live: LiveObject) -> ObjectRef:
    """The identity of a live object."""
    return ObjectRef(
        api_version=text(live, "apiVersion"),
        kind=text(live, "kind"),
        namespace=text(live, "metadata", "namespace"),
        name=text(live, "metadata", "name"),
    )


def generation_observed(live: LiveObject) -> bool:
    """Whether the controller has seen the latest spec; true where it does not say."""
    observed = at(live, "status", "observedGeneration")
    if isinstance(observed, str) and observed.isdigit():
        observed = int(observed)
    if isinstance(observed, bool) or not isinstance(observed, int):
        return True
    return observed >= number(live, "metadata", "generation")
