"""Values that CEL has no type for: quantities, versions, addresses.

The runtime hands no foreign types to its functions, so that such a value is a mapping of its kind
to its canonical text: equal values are equal mappings, as CEL's `==` compares them.
"""

from collections.abc import Callable
from typing import Final

from cel_expr_python import cel

Opaque = dict[str, str]
OPAQUE: Final = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)


def text_of(value: object, kind: str) -> str:
    """The canonical text of a value of this kind.

    Raises:
        ValueError: it is of another kind.
    """
    if isinstance(value, dict) and len(value) == 1 and kind in value:
        return str(value[kind])
    raise ValueError("no such overload")


def function(
    name: str, result: cel.Type, *parameters: cel.Type, run: Callable[..., object]
) -> cel.FunctionDecl:
    """A function `name(...)`."""
    overload = cel.Overload(
        f"kubernetes_{name}", return_type=result, parameters=parameters, impl=run
    )
    return cel.FunctionDecl(name, [overload])


def method(
    name: str, result: cel.Type, *parameters: cel.Type, run: Callable[..., object]
) -> cel.FunctionDecl:
    """A function `value.name(...)`; the first parameter is the value."""
    return methods(name, result, parameters, run=run)


def methods(
    name: str, result: cel.Type, *signatures: tuple[cel.Type, ...], run: Callable[..., object]
) -> cel.FunctionDecl:
    """A function `value.name(...)` that takes its parameters in several forms."""
    return cel.FunctionDecl(
        name,
        [
            cel.Overload(
                f"kubernetes_{name}_{index}",
                return_type=result,
                parameters=parameters,
                is_member=True,
                impl=run,
            )
            for index, parameters in enumerate(signatures)
        ],
    )


def succeeds(make: Callable[[str], Opaque]) -> Callable[[str], bool]:
    """`isX(text)` from `x(text)`."""

    def check(written: str) -> bool:
        try:
            make(written)
        except ValueError:
            return False
        return True

    return check
