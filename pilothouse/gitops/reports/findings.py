"""Findings as text for people."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from pilothouse.models.findings import Finding, ValidationReport


def validation_text(
    report: ValidationReport, titles: Mapping[str, str], *, everything: bool
) -> str:
    """Every error and warning in full, with what to do; notes are counted by rule.

    Args:
        report: what was found.
        titles: rule -> what it is about, for the counts.
        everything: print the notes in full too.
    """
    notes = [f for f in report.findings if f.severity == "info" and not everything]
    shown = [f for f in report.findings if f.severity != "info" or everything]
    lines = [line for finding in shown for line in _finding(finding)]
    lines += _summed_up(notes, titles)
    lines.append(f"{report.objects} objects: {_counted(report.findings)}")
    return "\n".join(lines) + "\n"


def findings_text(findings: Iterable[Finding]) -> str:
    """Every finding in full, notes included, with what to do, and how many there are."""
    found = list(findings)
    lines = [line for finding in found for line in _finding(finding)]
    return "\n".join([*lines, _counted(found)]) + "\n"


def _counted(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    return f"{counts['error']} errors, {counts['warning']} warnings, {counts['info']} notes"


def _finding(finding: Finding) -> Iterator[str]:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    about = f" {finding.object}" if finding.object else ""
    yield f"{place}: {finding.severity} [{finding.rule}]{about}: {finding.message}"
    if finding.fix:
        yield f"    {finding.fix}"


def _summed_up(notes: Iterable[Finding], titles: Mapping[str, str]) -> Iterator[str]:
    counts = Counter(note.rule for note in notes)
    if counts:
        yield "notes (in full with --all):"
    for rule, count in counts.most_common():
        yield f"  {count:>5} [{rule}] {titles.get(rule, '')}".rstrip()
