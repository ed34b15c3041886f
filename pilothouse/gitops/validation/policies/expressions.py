"""The expressions of one policy: compiled as the API server would, with variables on demand."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings

from pilothouse.gitops.expressions import MAX_LENGTH, Expression, ExpressionError, compile_in
from pilothouse.gitops.validation.policies.library import FUNCTIONS

INPUTS: Final = ("object", "oldObject", "request", "namespaceObject", "params", "variables")
"""What an expression may name."""
_STRINGS_VERSION: Final = 2
"""The API server has this version of CEL's functions of text."""
_LONGEST_WHOLE: Final = 20 * MAX_LENGTH
_TOKEN: Final = re.compile(
    r"""(?P<literal>(?i:[rb]{0,2})(?:\"{3}.*?\"{3}|'{3}.*?'{3})"""
    r"""|(?i:b?rb?)(?:"[^"\n]*"|'[^'\n]*')"""
    r"""|(?i:b?)(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|//[^\n]*)"""
    r"""|(?<![\w.])variables\s*\.\s*(?P<name>[A-Za-z_]\w*)""",
    re.DOTALL,
)
"""Texts and comments, which are left alone, and the places that name a variable."""
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_WORDINGS: Final = (
    (re.compile(r'NOT_FOUND: Key not found in map : "(.*)"$', re.DOTALL), r"no such key: \1"),
    (re.compile(r"UNKNOWN: No matching overloads found.*", re.DOTALL), "no such overload"),
    (re.compile(r"UNKNOWN: Index error: index=(-?\d+) .*"), r"index out of bounds: \1"),
    (re.compile(r"INVALID_ARGUMENT: divide by zero"), "division by zero"),
    (re.compile(r"INVALID_ARGUMENT: Applying SELECT to non-message type"), "no such key"),
    (re.compile(r"INTERNAL: Iteration budget exceeded.*", re.DOTALL), "it takes too long"),
    (re.compile(r"^[A-Z_]+: "), ""),
)
"""What the runtime says, and how the API server puts it."""


class PolicyExpression:
    """One expression with the variables it reads, each of which is computed when it is needed."""

    def __init__(
        self, text: str, whole: Expression, variables: tuple[tuple[str, Expression], ...]
    ) -> None:
        self.text = text
        self.whole = whole
        self._variables = variables

    def mentions(self, *names: str) -> bool:
        """Whether it, or a variable that it reads, names one of these inputs."""
        return any(name in self.whole.text for name in names)

    def evaluate(self, data: Mapping[str, object]) -> object:
        """Its value.

        Raises:
            ExpressionError: worded as the API server does, as far as the two runtimes agree.
        """
        try:
            return self.whole.evaluate(data)
        except ExpressionError as error:
            raise ExpressionError(self._reason(str(error), data)) from None

    def _reason(self, problem: str, data: Mapping[str, object]) -> str:
        for name, variable in self._variables:
            try:
                variable.evaluate(data)
            except ExpressionError as error:
                if str(error) == problem:
                    return f'composited variable "{name}" fails to evaluate: {worded(problem)}'
        return worded(problem)


class Compiler:
    """Compiles the expressions of one policy, which share its variables."""

    def __init__(self) -> None:
        self._variables: dict[str, tuple[str, tuple[str, ...]]] = {}
        """Name -> its text with inner names, and all variables that it reads, in order."""
        self._whole: dict[str, Expression] = {}

    def declare(self, name: str, text: str) -> None:
        """Add a variable; it may read those before it.

        Raises:
            ExpressionError: it cannot be compiled.
        """
        if not _NAME.fullmatch(name):
            raise ExpressionError(f"{name!r} cannot be the name of a variable")
        compiled = self.compile(text)
        self._variables[name] = (_renamed(text), self._needed(text))
        self._whole[name] = compiled.whole

    def compile(self, text: str, result: str = "") -> PolicyExpression:
        """Compile an expression.

        Args:
            text: the expression.
            result: the type it must have: `BOOL` or `STRING`; empty: any.

        Raises:
            ExpressionError: with line, column and a caret under the mistake.
        """
        compile_in(_environment(whole=False), text)
        needed = self._needed(text)
        whole = _renamed(text)
        for name in reversed(needed):
            whole = f"cel.bind({_inner(name)}, ({self._variables[name][0]}\n), {whole}\n)"
        compiled = compile_in(_environment(whole=True), whole, limit=_LONGEST_WHOLE)
        if result and compiled.type_name != result:
            kind = {"BOOL": "bool", "STRING": "string"}[result]
            raise ExpressionError(f"must evaluate to {kind}")
        return PolicyExpression(text, compiled, tuple((n, self._whole[n]) for n in needed))

    def _needed(self, text: str) -> tuple[str, ...]:
        """Every variable that a text reads, itself or by others, in order of declaration."""
        found: set[str] = set()
        for name in _names(text):
            if name not in self._variables:
                raise ExpressionError(f"undefined field '{name}' of variables")
            found |= {name, *self._variables[name][1]}
        return tuple(name for name in self._variables if name in found)


def worded(problem: str) -> str:
    """The runtime's complaint as the API server words it."""
    for pattern, wording in _WORDINGS:
        problem = pattern.sub(wording, problem)
    return problem


def _names(text: str) -> Sequence[str]:
    return [match["name"] for match in _TOKEN.finditer(text) if match["name"]]


def _inner(name: str) -> str:
    return f"variables__{name}"


def _renamed(text: str) -> str:
    """Each `variables.x` as the name that the variable is bound to."""
    return _TOKEN.sub(lambda match: _inner(match["name"]) if match["name"] else match[0], text)


@lru_cache(maxsize=2)
def _environment(*, whole: bool) -> cel.Env:
    """The API server's environment; `whole` adds what binds variables, which it does not have."""
    bindings = [ext_bindings.ExtBindings()] if whole else []
    return cel.NewEnv(
        variables=dict.fromkeys(INPUTS, cel.Type.DYN),
        extensions=[
            ext_strings.ExtStrings(_STRINGS_VERSION),
            ext_optional.ExtOptional(),
            *bindings,
        ],
        functions=list(FUNCTIONS),
    )
