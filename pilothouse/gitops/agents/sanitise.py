"""Whatever a tool or a server said, made fit for a prompt, a history and a log."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pilothouse.gitops.redaction import Redactor, strip_control

MAX_INPUT: Final = 4 * 1024 * 1024
"""Characters. Of a longer text only the beginning is looked at, and passed on."""
WITHHELD: Final = "<WITHHELD: the text could not be checked for credentials>"


class Clean(NamedTuple):
    """A text that may be shown."""

    text: str
    redactions: Mapping[str, int]
    """Rule -> how often."""
    withheld: bool = False
    cut: int = 0
    """Characters that were beyond `MAX_INPUT`."""


def sanitise(untrusted: str, redactor: Redactor) -> Clean:
    """Drop control characters, then hide credentials; for results and for errors alike.

    In this order: an invisible character in a credential must not hide it. Whatever goes wrong
    here, the text is withheld and nothing is raised: an unchecked text is never passed on.
    """
    try:
        text, found = redactor.redact(strip_control(untrusted[:MAX_INPUT]))
    except Exception:  # fails closed, whatever the reason
        return Clean(WITHHELD, {}, withheld=True)
    return Clean(text, found, cut=max(0, len(untrusted) - MAX_INPUT))


def one_line(untrusted: str, redactor: Redactor, limit: int = 300) -> str:
    """The same for a title or a message: one line of at most `limit` characters."""
    # Cut generously first, so that a credential at the end is still seen whole.
    text = " ".join(sanitise(untrusted[: 8 * limit], redactor).text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
