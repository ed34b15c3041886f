"""A plan for a terminal, like a good code review."""

from collections.abc import Iterator
from typing import Final

from pilothouse.gitops.plan.report.lines import STYLES, StyledLine, lines_of
from pilothouse.gitops.plan.report.summary import counted, place_of
from pilothouse.gitops.plan.report.visible import visible
from pilothouse.models.names import short
from pilothouse.models.objects import Bundle, ObjectChange, Plan

_ACTIONS: Final = {"create": "+", "change": "~", "recreate": "!", "delete": "-", "unchanged": " "}
_ACTION_STYLES: Final = {"create": "green", "change": "yellow", "recreate": "red", "delete": "red"}


def plan_lines(plan: Plan) -> Iterator[StyledLine]:
    """The plan line by line: each change with its risks and differences, then the sum."""
    for change in plan.changes:
        yield from change_lines(change)
        yield StyledLine("")
    yield from sum_lines(plan)


def change_lines(change: ObjectChange) -> Iterator[StyledLine]:
    """One object: what happens, where Git has it, what to look at, the differences."""
    place = place_of(change)
    header = f"{_ACTIONS[change.action]} {change.action} {visible(str(change.object))}"
    bold = f"bold {_ACTION_STYLES.get(change.action, '')}".rstrip()
    yield StyledLine(f"{header}  {place}".rstrip(), bold)
    for risk in change.risks:
        yield StyledLine(f"    ! {risk.kind}: {visible(risk.message, 300)}", "bold magenta")
    for difference in change.diff:
        for line in lines_of(difference):
            yield StyledLine(f"    {line}".rstrip(), STYLES.get(line.mark, ""))


def object_lines(bundle: Bundle) -> Iterator[StyledLine]:
    """What would be applied, in order, where it is compared with nothing."""
    for manifest in bundle.manifests:
        place = visible(f"{manifest.file}:{manifest.line}")
        yield StyledLine(f"  apply {visible(str(manifest.ref))}  {place}")
    count = f"{len(bundle.manifests)} objects, in order"
    yield StyledLine(_headline(bundle.digest(), bundle.environment, count), "bold")


def sum_lines(plan: Plan) -> Iterator[StyledLine]:
    """Counts, risks, digest."""
    yield StyledLine(_headline(plan.digest, plan.environment, counted(plan)), "bold")
    if plan.risks:
        risks = ", ".join(f"{kind} ({count})" for kind, count in plan.risks.items())
        yield StyledLine(f"risks: {risks}", "bold magenta")


def _headline(digest: str, environment: str, what: str) -> str:
    place = f" for {visible(environment)}" if environment else ""
    return f"plan {short(digest)}{place}: {what}"
