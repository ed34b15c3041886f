"""The few Markdown forms that the Temporal Web UI draws well, and safe quoting.

Cells end in no-break spaces, because the UI draws tables without padding. Text that others wrote
(findings, logs, reasons) is quoted so that it cannot become markup.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&])")
_LIST = re.compile(r"^([0-9]*)([-.=])")
"""What would make a line a list, a rule or the mark of a heading."""
_PAD = "\u00a0\u00a0"


def plain(text: str, limit: int = 300) -> str:
    """Untrusted text on one line: control and bidi characters dropped, markup escaped, cut."""
    line = _one_line(text)
    if len(line) > limit:
        line = line[: limit - 1] + "\u2026"
    return _LIST.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", line))


def code(text: str) -> str:
    """A short identifier in monospace, on one line; what would end it or a cell is dropped."""
    identifier = _one_line(text.replace("`", "").replace("|", ""))
    return f"`{identifier}`" if identifier else ""


def _one_line(text: str) -> str:
    visible = "".join(
        character if unicodedata.category(character)[0] != "C" else " " for character in text
    )
    return " ".join(visible.split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A pipe table; the caller quotes what it does not trust."""
    lines = [_row(head), "|" + "---|" * len(head), *(_row(row) for row in rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell}{_PAD}" for cell in cells) + "|"


def block(text: str, language: str = "") -> str:
    """A fenced block that its content cannot leave; control characters but newlines dropped."""
    clean = "".join(
        character
        for character in text.expandtabs(4)
        if character == "\n" or unicodedata.category(character)[0] != "C"
    )
    fence = "```"
    while fence in clean:
        fence += "`"
    return f"{fence}{language}\n{clean}\n{fence}"


def bullets(lines: Iterable[str]) -> str:
    """A list; the caller quotes what it does not trust."""
    return "\n".join(f"- {line}" for line in lines)


def paragraphs(*parts: str) -> str:
    """Join the parts that are not empty."""
    return "\n\n".join(part for part in parts if part)
