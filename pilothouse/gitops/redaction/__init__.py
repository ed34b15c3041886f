"""The one redactor: what looks like a credential leaves as a typed placeholder."""

from pilothouse.gitops.redaction.control import strip_control
from pilothouse.gitops.redaction.redactor import MIN_KNOWN_LENGTH, Redacted, Redactor

__all__ = ["MIN_KNOWN_LENGTH", "Redacted", "Redactor", "strip_control"]
