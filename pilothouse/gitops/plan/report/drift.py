"""Drift for people: on a terminal and in Markdown."""

from collections.abc import Iterator
from itertools import islice

from pilothouse.gitops.plan.drift import Drift, DriftedObject
from pilothouse.gitops.plan.report.lines import STYLES, StyledLine, lines_of
from pilothouse.gitops.plan.report.summary import findings_lines
from pilothouse.gitops.plan.report.visible import visible
from pilothouse.gitops.reports.markdown import block, paragraphs
from pilothouse.models.objects import ObjectRef

_MOST_LINES = 400


def drift_lines(drift: Drift) -> Iterator[StyledLine]:
    """Each object that drifted with `in Git -> live`, then what is missing, extra, not known."""
    for drifted in drift.drifted:
        yield from _of_one(drifted)
    yield from _refs("- missing", drift.missing, "red")
    yield from _refs("+ extra", drift.extra, "yellow")
    yield from _refs("? unreadable", drift.unreadable, "")
    yield from (StyledLine(line, "red") for line in findings_lines(drift.refused))
    counts = (
        (len(drift.drifted), "drifted"),
        (len(drift.missing), "missing"),
        (len(drift.extra), "extra"),
        (len(drift.unreadable), "unreadable"),
        (len(drift.refused), "refused"),
    )
    said = ", ".join(f"{count} {word}" for count, word in counts if count)
    yield StyledLine(said or "no drift: the cluster matches Git", "bold")


def drift_markdown(drift: Drift) -> str:
    """The same lines in one code block, cut after 400."""
    lines = [line.text for line in islice(drift_lines(drift), _MOST_LINES + 1)]
    more = "Cut here: there is more." if len(lines) > _MOST_LINES else ""
    headline = "**No drift.**" if drift.clean else "**Drift** (from what Git says to what is live):"
    return paragraphs(headline, block("\n".join(lines[:_MOST_LINES]), "diff"), more)


def _of_one(drifted: DriftedObject) -> Iterator[StyledLine]:
    place = visible(f"{drifted.file}:{drifted.line}") if drifted.line else ""
    yield StyledLine(f"~ drifted {visible(str(drifted.object))}  {place}".rstrip(), "bold yellow")
    if drifted.claimed:
        yield StyledLine(f"    {visible(drifted.claimed)}", STYLES["~"])
    for difference in drifted.diff:
        for line in lines_of(difference):
            yield StyledLine(f"    {line}", STYLES.get(line.mark, ""))


def _refs(word: str, refs: tuple[ObjectRef, ...], style: str) -> Iterator[StyledLine]:
    return (StyledLine(f"{word} {visible(str(ref))}", style) for ref in refs)
