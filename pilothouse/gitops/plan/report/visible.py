"""Untrusted text on a terminal or in a code block: what cannot be seen is written out."""

import unicodedata
from typing import Final

_MOST: Final = 200
"""Characters of a line: a wider one is not read."""


def visible(text: str, limit: int = _MOST) -> str:
    """One line in which every character is what it looks like, cut to `limit` characters.

    Control and direction characters, which could move the cursor or turn a line around, become
    their escapes: a reviewer sees that they are there. Line ends and tabs are escaped too.
    """
    cut = text[:limit]
    line = cut if cut.isprintable() else "".join(map(_written, cut))
    return f"{line}… ({len(text) - limit} more characters)" if len(text) > limit else line


def _written(character: str) -> str:
    if unicodedata.category(character)[0] not in {"C", "Z"} or character == " ":
        return character
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    code = ord(character)
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
