"""Untrusted text made fit to quote: one line, bounded, without control characters or secrets."""

import re
from typing import Final

MAX_QUOTE: Final = 500
"""Characters of one piece of evidence."""

_CONTROL: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # terminal escapes
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    r"|[\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"  # invisible, or turns the line around
)
_SECRET: Final = re.compile(
    r"""(?ix)
    ( \b [\w.-]* (?: password | passwd | secret | token | api[_-]?key | authorization ) [\w.-]*
      ["']? \s* [=:] \s* )
    ( "[^"]*" | '[^']*' | (?: (?: bearer | basic ) \s+ )? [^\s,;&]+ )
    """
)
_URL_PASSWORD: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.IGNORECASE)
_PRIVATE_KEY: Final = re.compile(
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_HINT: Final = re.compile(
    r"passw|secret|token|api[_-]?key|authorization|://|PRIVATE KEY", re.IGNORECASE
)
"""Without one of these no pattern matches: most text is looked through once, cheaply."""
_MAX_LINE: Final = 8 * MAX_QUOTE
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
    like a credential is masked, and the rest is cut to `limit` characters.
    """
    # Cut before the patterns run: a line of a megabyte must not cost more than one that we keep.
    plain = _CONTROL.sub("", untrusted[: 8 * limit])
    plain = " ".join(plain.split())
    plain = mask_credentials(plain)
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."


def mask_credentials(text: str) -> str:
    """Mask what looks like a credential: `password=...`, a password in a URL, a private key.

    A line that holds such a thing and is too long to be looked through is masked whole.
    """
    if not _HINT.search(text):
        return text
    lines = _PRIVATE_KEY.sub(r"\1***\2", text).splitlines(keepends=True)
    return "".join(map(_masked_line, lines))


def _masked_line(line: str) -> str:
    if not _HINT.search(line):
        return line
    if len(line) > _MAX_LINE:
        return "***\n" if line.endswith("\n") else "***"
    return _URL_PASSWORD.sub(r"\1***", _SECRET.sub(r"\1***", line))


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
