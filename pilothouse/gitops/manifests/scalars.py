"""What a plain YAML scalar means to Kubernetes.

`kubectl` and the API server read manifests through sigs.k8s.io/yaml, that is go-yaml 2: YAML 1.1
booleans (`on`, `no`, `y`), octal `012`, floats without a dot (`1e3`), but no sexagesimals (`12:30`)
and no timestamps. PyYAML differs in each of these, so what a reviewer sees would not be what the
cluster gets; this module follows go-yaml.
"""

import math
import re

Scalar = str | int | float | bool | None

_CONSTANTS: dict[str, Scalar] = {
    **dict.fromkeys(
        ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True
    ),
    **dict.fromkeys(
        ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False
    ),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_NUMBER_START = frozenset("+-.0123456789")
_INTEGER = re.compile(
    r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9][0-9]*)", re.ASCII
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_BASES = {"0x": 16, "0b": 2, "0o": 8}
_LARGEST_EXACT = 2**64
_LARGEST_WRITTEN_OUT = 1e21


def resolve_plain(text: str) -> Scalar:
    """The value of an unquoted, untagged scalar; `inf` and `nan` are the caller's to refuse."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMBER_START:
        return text
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(digits):
        return _integer(digits)
    if _FLOAT.fullmatch(digits):
        return _as_json_writes(float(digits))
    return text


def described(value: object, *, secret: bool = False) -> str:
    """A JSON value as a message names it: `a string ("three")`, `a list`; cut to 40 characters.

    Args:
        value: the value.
        secret: say the type only.
    """
    match value:
        case None:
            return "null"
        case bool():
            name, shown = "a boolean", "true" if value else "false"
        case int():
            name, shown = "an integer", str(value)
        case float():
            name, shown = "a number", str(value)
        case str():
            name, shown = "a string", '"' + (value if len(value) <= 40 else value[:39] + "…") + '"'
        case list():
            return "a list"
        case _:
            return "a mapping"
    return name if secret else f"{name} ({shown})"


def _integer(digits: str) -> int | float:
    sign = -1 if digits[0] == "-" else 1
    magnitude = digits.lstrip("+-").lower()
    base = _BASES.get(magnitude[:2])
    if base is not None:
        value = int(magnitude[2:], base)
    elif magnitude.startswith("0"):
        value = int(magnitude, 8)
    elif len(magnitude) > len(str(_LARGEST_EXACT)):
        return _as_json_writes(float(digits))
    else:
        value = int(magnitude)
    if value >= _LARGEST_EXACT:
        return _as_json_writes(float(sign * value) if value < 10**300 else sign * math.inf)
    return sign * value


def _as_json_writes(number: float) -> int | float:
    """Go's JSON encoder writes 3.0 as 3: an integer field accepts it."""
    if math.isfinite(number) and number.is_integer() and abs(number) < _LARGEST_WRITTEN_OUT:
        return int(number)
    return number
