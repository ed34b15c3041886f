"""`quantity(...)` and `semver(...)`: values that have an order."""

import re
from decimal import Decimal
from typing import Final

from cel_expr_python import cel

from pilothouse.gitops.quantities import quantity
from pilothouse.gitops.validation.policies.library.opaque import (
    OPAQUE,
    Opaque,
    function,
    method,
    methods,
    succeeds,
    text_of,
)

_QUANTITY: Final = "quantity"
_SEMVER: Final = "semver"
_NUMBER: Final = r"(?:0|[1-9][0-9]{0,17})"
_VERSION: Final = re.compile(
    rf"(?P<numbers>{_NUMBER}\.{_NUMBER}\.{_NUMBER})"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
)
_Order = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]


def _quantity(written: str) -> Opaque:
    amount = quantity(written)
    if amount is None:
        raise ValueError(
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    return _of_amount(amount)


def _of_amount(amount: Decimal) -> Opaque:
    return {_QUANTITY: format(amount.normalize(), "f") if amount else "0"}


def _amount(value: object) -> Decimal:
    return Decimal(text_of(value, _QUANTITY))


def _sum(value: object, other: object) -> Opaque:
    return _of_amount(_amount(value) + _operand(other))


def _difference(value: object, other: object) -> Opaque:
    return _of_amount(_amount(value) - _operand(other))


def _operand(other: object) -> Decimal:
    return Decimal(other) if isinstance(other, int) else _amount(other)


def _integer(value: object) -> int:
    amount = _amount(value)
    if not _is_integer(value):
        raise ValueError("cannot convert value to integer")
    return int(amount)


def _is_integer(value: object) -> bool:
    amount = _amount(value)
    return amount == amount.to_integral_value() and -(2**63) <= amount < 2**63


def _sign(value: object) -> int:
    amount = _amount(value)
    return (amount > 0) - (amount < 0)


def _semver(written: str) -> Opaque:
    if _VERSION.fullmatch(written) is None:
        raise ValueError(f"{written!r} is no semantic version")
    return {_SEMVER: written}


def _order(value: object) -> _Order:
    """Sorts as https://semver.org says: a release comes after all its pre-releases."""
    match = _VERSION.fullmatch(text_of(value, _SEMVER))
    if match is None:
        raise ValueError("no such overload")
    numbers = tuple(int(number) for number in match["numbers"].split("."))
    parts = match["pre"].split(".") if match["pre"] else []
    rank = tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)
    return numbers, 0 if parts else 1, rank


def _compare(value: object, other: object) -> int:
    if isinstance(value, dict) and _SEMVER in value:
        one, two = _order(value), _order(other)
        return (one > two) - (one < two)
    first, second = _amount(value), _amount(other)
    return (first > second) - (first < second)


AMOUNTS: Final = (
    function(_QUANTITY, OPAQUE, cel.Type.STRING, run=_quantity),
    function("isQuantity", cel.Type.BOOL, cel.Type.STRING, run=succeeds(_quantity)),
    function(_SEMVER, OPAQUE, cel.Type.STRING, run=_semver),
    function("isSemver", cel.Type.BOOL, cel.Type.STRING, run=succeeds(_semver)),
    method("isLessThan", cel.Type.BOOL, OPAQUE, OPAQUE, run=lambda a, b: _compare(a, b) < 0),
    method("isGreaterThan", cel.Type.BOOL, OPAQUE, OPAQUE, run=lambda a, b: _compare(a, b) > 0),
    method("compareTo", cel.Type.INT, OPAQUE, OPAQUE, run=_compare),
    method("asInteger", cel.Type.INT, OPAQUE, run=_integer),
    method("isInteger", cel.Type.BOOL, OPAQUE, run=_is_integer),
    method("asApproximateFloat", cel.Type.DOUBLE, OPAQUE, run=lambda a: float(_amount(a))),
    method("sign", cel.Type.INT, OPAQUE, run=_sign),
    methods("add", OPAQUE, (OPAQUE, OPAQUE), (OPAQUE, cel.Type.INT), run=_sum),
    methods("sub", OPAQUE, (OPAQUE, OPAQUE), (OPAQUE, cel.Type.INT), run=_difference),
    method("major", cel.Type.INT, OPAQUE, run=lambda a: _order(a)[0][0]),
    method("minor", cel.Type.INT, OPAQUE, run=lambda a: _order(a)[0][1]),
    method("patch", cel.Type.INT, OPAQUE, run=lambda a: _order(a)[0][2]),
)
"""Functions of quantities and semantic versions."""
