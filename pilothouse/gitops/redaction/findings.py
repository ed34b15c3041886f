"""Findings without credentials: they quote what is wrong, and go wherever a run's result goes."""

from typing import Final

from pilothouse.gitops.redaction.redactor import Redactor
from pilothouse.models.findings import Finding

_REDACTOR: Final = Redactor()


def redacted(finding: Finding) -> Finding:
    """The finding with placeholders for what looks like a credential. Idempotent."""
    told = {"message": finding.message, "fix": finding.fix, "object": finding.object}
    return finding.model_copy(
        update={field: _REDACTOR.redact(text).text for field, text in told.items()}
    )
