"""CEL: conditions that a repository brings along, evaluated in bounded time and without effects."""

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

MAX_LENGTH: Final = 10_000
"""Characters of one expression; Kubernetes allows about as many."""
_CEL: Final = threading.Lock()
"""The runtime's environments are shared between threads that validate side by side."""


class ExpressionError(ValueError):
    """An expression that cannot be compiled, or that has no answer for some data."""


class Expression:
    """One compiled expression."""

    def __init__(self, text: str, compiled: cel.Expression) -> None:
        self.text = text
        self._compiled = compiled

    @property
    def type_name(self) -> str:
        """What it evaluates to, as far as that is known: `BOOL`, `STRING`, `DYN`, ..."""
        return str(self._compiled.return_type().name())

    def evaluate(self, data: Mapping[str, object]) -> object:
        """Its value as plain Python data.

        Args:
            data: a value, as JSON gives it, for each declared variable.

        Raises:
            ExpressionError: a field is missing, types do not fit, or it takes too long.
        """
        try:
            with _CEL:
                value = self._compiled.eval(data=dict(data))
                if value.type().name() == "ERROR":
                    raise ExpressionError(str(value.plain_value()))
                return value.plain_value()
        except RuntimeError as error:
            raise ExpressionError(str(error)) from None
        except TypeError:
            raise ExpressionError(f"a value of type {value.type().name()} is no answer") from None

    def is_true(self, data: Mapping[str, object]) -> bool:
        """Whether it is true.

        Raises:
            ExpressionError: as `evaluate`, or its value is no truth value.
        """
        value = self.evaluate(data)
        if not isinstance(value, bool):
            raise ExpressionError(f"expected true or false, got {type(value).__name__}")
        return value


def compile_expression(text: str, variables: tuple[str, ...] = ("object",)) -> Expression:
    """Check and compile an expression over these variables, each of any type.

    Raises:
        ExpressionError: with line, column and a caret under the mistake.
    """
    return compile_in(_environment(variables), text)


def compile_in(environment: cel.Env, text: str, limit: int = MAX_LENGTH) -> Expression:
    """Check and compile an expression in an environment of one's own.

    Raises:
        ExpressionError: with line, column and a caret under the mistake.
    """
    if len(text) > limit:
        raise ExpressionError(f"the expression is longer than {limit} characters")
    try:
        with _CEL:
            return Expression(text, environment.compile(text))
    except RuntimeError as error:
        raise ExpressionError(str(error)) from None


@lru_cache(maxsize=16)
def _environment(variables: tuple[str, ...]) -> cel.Env:
    return cel.NewEnv(
        variables=dict.fromkeys(variables, cel.Type.DYN),
        extensions=[
            ext_strings.ExtStrings(),
            ext_optional.ExtOptional(),
            ext_math.ExtMath(),
            ext_bindings.ExtBindings(),
        ],
    )
