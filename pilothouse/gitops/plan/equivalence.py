"""What is written differently and means the same, for two forms that no API server has seen."""

from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.plan.pointers import steps_of
from pilothouse.gitops.quantities import quantity

_QUANTITY_MAPS: Final = frozenset({
    "capacity", "default", "defaultRequest", "hard", "limits", "max", "min", "podFixed", "requests",
})  # fmt: skip
_QUANTITY_FIELDS: Final = frozenset({"averageValue", "divisor", "sizeLimit", "storage"})
_NUMBER_OR_NAME: Final = frozenset({
    "maxSurge", "maxUnavailable", "minAvailable", "port", "targetPort",
})  # fmt: skip


def means_the_same(path: str, live: JsonValue, wanted: JsonValue) -> bool:
    """Whether two values at a pointer are one quantity (`0.1`, `100m`) or one port (`80`, `"80"`).

    Only places that hold such a thing in Kubernetes' own kinds are judged so.
    """
    steps = steps_of(path)
    if not steps:
        return False
    if steps[-1] in _NUMBER_OR_NAME and _is_written(live) and _is_written(wanted):
        return str(live) == str(wanted)
    if steps[-1] in _QUANTITY_FIELDS or (len(steps) > 1 and steps[-2] in _QUANTITY_MAPS):
        one, other = quantity(live), quantity(wanted)
        return one is not None and one == other
    return False


def _is_written(value: JsonValue) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
