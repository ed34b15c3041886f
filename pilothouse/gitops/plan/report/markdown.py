"""A plan in Markdown: for an approver in the Web UI, for a comment below a pull request.

Nothing that others wrote stands outside of code: it can neither be markup nor a link, nor call
anybody.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from pilothouse.gitops.plan.report.lines import lines_of
from pilothouse.gitops.plan.report.summary import (
    counted,
    findings_lines,
    place_of,
    risk_lines,
)
from pilothouse.gitops.plan.report.visible import visible
from pilothouse.gitops.reports.markdown import block, code, paragraphs
from pilothouse.models.names import short
from pilothouse.models.objects import Bundle, ObjectChange, Plan

MAX_REVIEW_BYTES: Final = 12 * 1024
"""A review travels through a workflow's history and stands in its details."""
_CUT: Final = 200
"""Bytes kept free for the words that say what was cut."""
_MOST_RISKS: Final = 25
_MOST_FINDINGS: Final = 15
_MOST_LINES: Final = 40
"""Lines of one object."""


def review(plan: Plan, limit: int = MAX_REVIEW_BYTES) -> str:
    """The plan for people: counts, risks, then each change with its differences.

    Args:
        plan: whole, with differences.
        limit: bytes; what does not fit is cut with a word that says how much it was.
    """
    parts = [_head(plan), *_risks(plan), *_findings(plan)]
    room = limit - _CUT - _size(parts)
    for index, change in enumerate(plan.changes):
        part = _change(change)
        room -= len(part.encode()) + 2
        if room < 0:
            left = len(plan.changes) - index
            parts.append(f"**Cut here**: {left} more changes; the plan's document has them all.")
            break
        parts.append(part)
    return paragraphs(*parts)


def listing(bundle: Bundle) -> str:
    """What would be applied, in order, where it is compared with nothing."""
    lines = [visible(f"{m.ref}  {m.file}:{m.line}") for m in bundle.manifests]
    place = f" for {code(bundle.environment)}" if bundle.environment else ""
    headline = f"Plan {code(short(bundle.digest()))}{place}: **{len(lines)} objects, in order**."
    return paragraphs(headline, block("\n".join(lines)))


def _size(parts: Sequence[str]) -> int:
    return sum(len(part.encode()) + 2 for part in parts)


def _head(plan: Plan) -> str:
    place = f" for {code(plan.environment)}" if plan.environment else ""
    return f"Plan {code(short(plan.digest))}{place}: **{counted(plan)}**."


def _risks(plan: Plan) -> Iterator[str]:
    lines = list(islice(risk_lines(plan), _MOST_RISKS + 1))
    if lines:
        more = ["... and more, see the plan's document"] if len(lines) > _MOST_RISKS else []
        yield "**Look at this first:**\n\n" + block("\n".join([*lines[:_MOST_RISKS], *more]))


def _findings(plan: Plan) -> Iterator[str]:
    lines = list(islice(findings_lines(plan.findings), _MOST_FINDINGS + 1))
    if lines:
        more = ["... and more"] if len(lines) > _MOST_FINDINGS else []
        yield "The cluster says:\n\n" + block("\n".join([*lines[:_MOST_FINDINGS], *more]))


def _change(change: ObjectChange) -> str:
    place = place_of(change)
    header = f"**{change.action}** {code(str(change.object))}" + (
        f" in {code(place)}" if place else ""
    )
    lines = (str(line) for difference in change.diff for line in lines_of(difference, _MOST_LINES))
    shown = list(islice(lines, _MOST_LINES + 1))
    if not shown:
        return header
    more = ["... and more"] if len(shown) > _MOST_LINES else []
    return header + "\n\n" + block("\n".join([*shown[:_MOST_LINES], *more]), "diff")
