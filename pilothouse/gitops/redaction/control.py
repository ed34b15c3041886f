"""Characters that draw on a terminal, hide text or turn its direction."""

import re
from typing import Final

_ESCAPES: Final = re.compile(
    r"\x1b\][^\x07\x1b]{0,4096}+(?:\x07|\x1b\\)"  # operating system commands: titles, links
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"  # colours, cursor movements
    r"|\x1b[ -/]*+[0-~]?"
)
_LINE_ENDS: Final = re.compile(r"\r\n?|[\u2028\u2029\x85\x0b\x0c]")
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u3164\uffa0"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufe00-\ufe0f\U000e0000-\U000e0fff"  # variation selectors and tags carry hidden text
    "\ud800-\udfff]"  # halves of characters, which UTF-8 cannot hold
)


def strip_control(text: str) -> str:
    """The text without terminal escapes, control, direction and invisible characters.

    Tabs stay; every kind of line end becomes a newline. Linear in the text.
    """
    plain = _ESCAPES.sub("", text)
    return _INVISIBLE.sub("", _LINE_ENDS.sub("\n", plain))
