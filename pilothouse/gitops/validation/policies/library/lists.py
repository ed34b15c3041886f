"""Kubernetes' functions of lists, and CEL's sets.

Not `indexOf` of lists: the runtime takes no second form of a function of its own.
"""

from collections.abc import Sequence
from typing import Final

from cel_expr_python import cel

from pilothouse.gitops.validation.policies.library.opaque import function, method

_LIST, _ANY = cel.Type.List(cel.Type.DYN), cel.Type.DYN
_BOOL = cel.Type.BOOL


def _same(one: object, other: object) -> bool:
    """CEL's equality: unlike Python's, true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _has(values: Sequence[object], wanted: object) -> bool:
    return any(_same(value, wanted) for value in values)


def _contains(values: Sequence[object], wanted: Sequence[object]) -> bool:
    return all(_has(values, value) for value in wanted)


def _smallest(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("min called on empty list")
    return min(values)


def _largest(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("max called on empty list")
    return max(values)


def _is_sorted(values: Sequence[float]) -> bool:
    return all(one <= other for one, other in zip(values, values[1:], strict=False))


LISTS: Final = (
    method("isSorted", _BOOL, _LIST, run=_is_sorted),
    method("sum", _ANY, _LIST, run=sum),
    method("min", _ANY, _LIST, run=_smallest),
    method("max", _ANY, _LIST, run=_largest),
    function("sets.contains", _BOOL, _LIST, _LIST, run=_contains),
    function(
        "sets.equivalent",
        _BOOL,
        _LIST,
        _LIST,
        run=lambda one, other: _contains(one, other) and _contains(other, one),
    ),
    function(
        "sets.intersects",
        _BOOL,
        _LIST,
        _LIST,
        run=lambda one, other: any(_has(one, value) for value in other),
    ),
)
"""Functions of lists."""
