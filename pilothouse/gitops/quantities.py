"""Kubernetes quantities: `0.1`, `100m` and `1e-1` are one amount."""

import re
from decimal import Decimal
from typing import Final

from pydantic import JsonValue

_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18}))"
    r"(?:(?P<suffix>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]{1,2}))?"
)
_SCALES: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


def quantity(value: JsonValue) -> Decimal | None:
    """The amount that a Kubernetes quantity stands for; None if it is none."""
    written = isinstance(value, str | int | float) and not isinstance(value, bool)
    match = _QUANTITY.fullmatch(str(value)) if written else None
    if match is None:
        return None
    amount = Decimal(match["number"])
    if match["suffix"]:
        return amount * _SCALES[match["suffix"]]
    return amount.scaleb(int(match["exponent"])) if match["exponent"] else amount
