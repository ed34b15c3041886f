"""What a stage saw: findings, and their sum."""

from itertools import accumulate
from typing import Literal

from pilothouse.models.base import Contract

Severity = Literal["error", "warning", "info"]
"""`error` blocks; `warning` asks for a look; `info` is said and nothing more."""
Verdict = Literal["pass", "review", "block"]


class Finding(Contract):
    """One observation about one place, with what to do about it."""

    rule: str
    """Stable id, e.g. `schema`, `yaml-duplicate-key`, `reference-configmap`. Documented."""
    severity: Severity
    file: str
    """Path in the repository or below the folder that was named; empty if it has no place."""
    line: int = 0
    """1-based; 0 if unknown."""
    object: str = ""
    """`Kind/namespace/name` or `Kind/name`; empty if it is about a file."""
    path: str = ""
    """JSON pointer into the object, e.g. `/spec/replicas`; empty if it is about the whole."""
    message: str
    fix: str = ""
    """What to do, in the imperative."""


def verdict_of(findings: tuple[Finding, ...] | list[Finding]) -> Verdict:
    """The sum of findings: any error blocks, any warning asks for review."""
    severities = {finding.severity for finding in findings}
    if "error" in severities:
        return "block"
    return "review" if "warning" in severities else "pass"


class ValidationReport(Contract):
    """What validation of one revision, or one folder, found."""

    verdict: Verdict
    objects: int
    findings: tuple[Finding, ...] = ()
    """At most `MAX_FINDINGS`, errors first; `omitted` says how many more there were."""
    omitted: int = 0


MAX_FINDINGS = 100
MAX_FINDINGS_BYTES = 24 * 1024
"""A report travels through history, several times in one run: 64 KiB are for all of a payload."""


def report(
    findings: list[Finding], objects: int, limit: int | None = MAX_FINDINGS
) -> ValidationReport:
    """Sum up, errors first, then by place; say how many are left out.

    Cut to `limit` findings and `MAX_FINDINGS_BYTES`; without a limit nothing is cut.
    """
    rank = {"error": 0, "warning": 1, "info": 2}
    ordered = sorted(findings, key=lambda f: (rank[f.severity], f.file, f.line, f.path, f.rule))
    shown = ordered if limit is None else _travelling(ordered[:limit])
    return ValidationReport(
        verdict=verdict_of(ordered),
        objects=objects,
        findings=tuple(shown),
        omitted=len(ordered) - len(shown),
    )


def _travelling(findings: list[Finding]) -> list[Finding]:
    sizes = accumulate(len(finding.model_dump_json().encode()) for finding in findings)
    return [f for f, size in zip(findings, sizes, strict=True) if size <= MAX_FINDINGS_BYTES]
