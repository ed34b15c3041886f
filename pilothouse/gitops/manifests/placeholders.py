"""`{{name}}` in a manifest: shielded before YAML is read, put in on the parsed tree.

Unquoted, `{{name}}` is a YAML flow mapping, so the text must be dealt with before the parser sees
it. The value itself must never meet the parser: a value could then hold YAML of its own. So each
placeholder becomes a token between two noncharacters, which plain YAML scalars may hold and no
honest text does, and `substitution` replaces tokens in the values that the parser returned.
"""

import re
from collections.abc import Callable

from pilothouse.models.findings import Finding

_OPEN, _CLOSE = "\U0001fffe", "\U0001ffff"
_PLACEHOLDER = re.compile(r"\{\{([ \t]*[A-Za-z_][A-Za-z0-9_.-]*[ \t]*)\}\}")
_STAMP = "~"
"""No name holds it, and YAML gives it no meaning inside a text."""
TOKEN = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")


def shield(text: str, file: str) -> str | Finding:
    """Each `{{name}}` as a token that YAML reads as plain text.

    Anything else in double braces, such as `{{ $labels.pod }}` or `{{ .Values.x }}`, stays.
    """
    if _OPEN in text or _CLOSE in text:
        place = min(text.index(mark) for mark in (_OPEN, _CLOSE) if mark in text)
        return Finding(
            rule="yaml-encoding",
            severity="error",
            file=file,
            line=text.count("\n", 0, place) + 1,
            message="the file holds the noncharacter U+1FFFE or U+1FFFF",
            fix="Remove it; no text needs it.",
        )
    return _PLACEHOLDER.sub(rf"{_OPEN}\1{_CLOSE}", text)


def unshield(text: str) -> str:
    """The text as it was written."""
    return TOKEN.sub(lambda token: "{{" + token[1].partition(_STAMP)[0] + "}}", text)


def name_in(token: re.Match[str]) -> str:
    """The name that a token stands for."""
    return token[1].partition(_STAMP)[0].strip()


def stamp(text: str, stamp_of: Callable[[str], str]) -> str:
    """Each token with a stamp that its name's value decides.

    Kustomize hashes what stands in a ConfigMap into its name: with the stamp the name changes when
    the value does, also where the value itself is put in later.
    """
    return TOKEN.sub(
        lambda token: f"{_OPEN}{token[1]}{_STAMP}{stamp_of(name_in(token))}{_CLOSE}", text
    )


def has_token(text: str) -> bool:
    """Whether a text holds a placeholder that has not been put in."""
    return _OPEN in text
