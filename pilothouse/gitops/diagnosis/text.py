"""Untrusted text made fit to quote: one line, bounded, without control characters or secrets."""

import re
from typing import Final

from pilothouse.gitops.redaction import Redactor, strip_control

MAX_QUOTE: Final = 500
"""Characters of one piece of evidence."""

_REDACTOR: Final = Redactor()
_TELLING: Final = (
    re.compile(r"(?i)\b(panic|fatal|critical|segfault|out of memory|oomkilled)\b"),
    re.compile(r"^(?:[\w.]+(?:Error|Exception|Exit|Interrupt)\b|Caused by:)"),
    re.compile(r"(?i)\b(error|exception|failed|failure|refused|denied|cannot|unable to)\b"),
    re.compile(r"(?i)Traceback \(most recent call last\)"),
)
"""From most to least telling. A traceback's last line names the error: its head only the fact."""


def quote(untrusted: str, limit: int = MAX_QUOTE) -> str:
    """Make outside text safe to show and to store.

    Control and direction characters are dropped, tabs and line ends become spaces, what looks
    like a credential becomes a placeholder, and the rest is cut to `limit` characters.
    """
    # Cut before the patterns run: a line of a megabyte must not cost more than one that we keep.
    plain = _REDACTOR.redact(strip_control(untrusted[: 8 * limit])).text
    plain = " ".join(plain.split())
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."


def most_telling(log: str) -> str:
    """The line of a log that says most about its end; empty if the log is.

    The strongest kind of line wins, and of its kind the last one.
    """
    lines = [line for line in (quote(raw) for raw in log.splitlines()[-50:]) if line]
    for pattern in _TELLING:
        for line in reversed(lines):
            if pattern.search(line):
                return line
    return lines[-1] if lines else ""
