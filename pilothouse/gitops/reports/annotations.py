"""Findings as workflow commands of GitHub Actions, which shows them at the lines of a change."""

from collections.abc import Iterable, Mapping
from typing import Final

from pilothouse.gitops.reports.paths import placed
from pilothouse.models.findings import Finding, Severity

_COMMANDS: Final[Mapping[Severity, str]] = {
    "error": "error",
    "warning": "warning",
    "info": "notice",
}
_DATA: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY: Final = _DATA | str.maketrans({":": "%3A", ",": "%2C"})
"""What would end a command or a property of it; text of a manifest must not become a command."""


def annotations(findings: Iterable[Finding], *, base: str = "") -> list[str]:
    """One command a finding, one line each.

    Args:
        findings: what was found.
        base: the folder that the findings' files are in, below the repository's root.
    """
    return [_command(finding, base) for finding in findings]


def _command(finding: Finding, base: str) -> str:
    properties = {"title": f"{finding.rule} {finding.object}".strip()}
    if finding.file:
        properties = {"file": placed(finding.file, base), **properties}
    if finding.line:
        properties["line"] = str(finding.line)
    fields = ",".join(f"{key}={value.translate(_PROPERTY)}" for key, value in properties.items())
    text = f"{finding.message}\n{finding.fix}" if finding.fix else finding.message
    return f"::{_COMMANDS[finding.severity]} {fields}::{text.translate(_DATA)}"
