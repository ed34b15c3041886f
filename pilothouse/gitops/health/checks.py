"""The health checks of a repository: CEL, with the semantics of Flux's `healthCheckExprs`.

An object that matches a check is judged by it alone: `in_progress`, `failed`, `current`, in this
order; the first that is true decides, and an object for which none is true is progressing.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from pilothouse.gitops.expressions import Expression, ExpressionError, compile_expression
from pilothouse.gitops.health.fields import LiveObject, generation_observed, mapping, text
from pilothouse.gitops.health.verdict import Health
from pilothouse.models.health import HealthStatus
from pilothouse.models.pipeline import HealthCheck

_Field = Literal["in_progress", "failed", "current"]
_MEANINGS: Final[tuple[tuple[_Field, HealthStatus], ...]] = (
    ("in_progress", "Progressing"),
    ("failed", "Degraded"),
    ("current", "Healthy"),
)
_TOP: Final = ("metadata", "spec", "status", "data")
_VARIABLES: Final = ("object", *_TOP)
"""`object`, and its parts by their own names, so that an expression of Flux's works unchanged."""


class CheckProblem(NamedTuple):
    """An expression that cannot be compiled."""

    check: int
    """Its position, from 0."""
    field: _Field
    message: str
    """The mistake with its line and column."""


def check_findings(checks: Sequence[HealthCheck]) -> list[CheckProblem]:
    """Every expression of these checks that is no CEL, in order."""
    problems: list[CheckProblem] = []
    for index, check in enumerate(checks):
        for name, _ in _MEANINGS:
            source: str = getattr(check, name)
            try:
                if source:
                    compile_expression(source, _VARIABLES)
            except ExpressionError as error:
                problems.append(CheckProblem(index, name, str(error)))
    return problems


def matching(live: LiveObject, checks: Iterable[HealthCheck]) -> HealthCheck | None:
    """The first check for an object's kind."""
    version, kind = text(live, "apiVersion"), text(live, "kind")
    return next((one for one in checks if (one.api_version, one.kind) == (version, kind)), None)


def by_check(live: LiveObject, check: HealthCheck) -> Health:
    """Judge an object by a check; what cannot be evaluated is Unknown, in the error's words."""
    if not generation_observed(live):
        return Health("Progressing", "the controller has not seen the latest spec yet")
    data = {"object": live} | {name: mapping(live, name) for name in _TOP}
    try:
        for (name, status), expression in zip(_MEANINGS, _compiled(check), strict=True):
            if expression is not None and expression.is_true(data):
                message = text(live, "status", "message")
                return Health(status, message or f"its health check says {name}")
    except ExpressionError as error:
        if not mapping(live, "status"):
            return Health("Progressing", "has reported no status yet")
        return Health("Unknown", f"its health check cannot be evaluated: {error}")
    return Health("Progressing", "no expression of its health check is true yet")


@lru_cache(maxsize=256)
def _compiled(check: HealthCheck) -> tuple[Expression | None, ...]:
    """Each expression, compiled once; None where the check has none.

    Raises:
        ExpressionError: one of them is no CEL.
    """
    sources: list[str] = [getattr(check, name) for name, _ in _MEANINGS]
    return tuple(compile_expression(one, _VARIABLES) if one else None for one in sources)
