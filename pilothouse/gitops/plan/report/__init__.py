"""Plans for people: on a terminal and in Markdown."""

from pilothouse.gitops.plan.report.lines import StyledLine
from pilothouse.gitops.plan.report.markdown import listing, review
from pilothouse.gitops.plan.report.summary import findings_lines
from pilothouse.gitops.plan.report.text import change_lines, object_lines, plan_lines

__all__ = [
    "StyledLine",
    "change_lines",
    "findings_lines",
    "listing",
    "object_lines",
    "plan_lines",
    "review",
]
