"""What is said about a whole plan, in the words that every form shares."""

from collections.abc import Iterable, Iterator
from typing import Final

from pilothouse.gitops.plan.report.visible import visible
from pilothouse.models.findings import Finding
from pilothouse.models.objects import Action, ObjectChange, Plan

_WORDS: Final[tuple[tuple[Action, str], ...]] = (
    ("create", "to create"),
    ("change", "to change"),
    ("recreate", "to recreate"),
    ("delete", "to delete"),
    ("unchanged", "unchanged"),
)


def counted(plan: Plan) -> str:
    """`1 to change, 11 unchanged`; what there is none of is left out."""
    parts = [f"{plan.counts[action]} {word}" for action, word in _WORDS if plan.counts.get(action)]
    return ", ".join(parts) or "no objects"


def place_of(change: ObjectChange) -> str:
    """`file:line` of a change that Git has, else empty."""
    return visible(f"{change.file}:{change.line}" if change.line else change.file)


def risk_lines(plan: Plan) -> Iterator[str]:
    """One line for each risk: its kind, the object, what it is."""
    for change in plan.changes:
        for risk in change.risks:
            yield f"{risk.kind}: {visible(str(change.object))}: {visible(risk.message, 300)}"


def findings_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """One line for each finding, errors and warnings with their advice."""
    for found in findings:
        place = f"{found.file}:{found.line}: " if found.line else ""
        fix = f" ({found.fix})" if found.fix else ""
        line = f"{place}{found.severity}: {found.object}: {found.message}{fix}"
        yield visible(line, 400)
