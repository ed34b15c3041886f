"""Which pieces an agent is shown, within bounds, and what in them is hidden."""

import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pilothouse.gitops.agents.material import Piece
from pilothouse.gitops.agents.sanitise import one_line, sanitise
from pilothouse.gitops.redaction import MIN_KNOWN_LENGTH, Redactor
from pilothouse.models.material import MAX_MATERIAL
from pilothouse.models.objects import Bundle
from pilothouse.models.tools import MaterialKind

MAX_PIECES: Final = 40
MAX_PIECE: Final = 64 * 1024
"""Bytes of one text."""
MOST: Final[dict[MaterialKind, int]] = {"manifest": 20, "config": 6, "knowledge": 6, "test": 10}
"""How many of a kind, so that one kind leaves room for the others."""
_VALUE: Final = re.compile(rf"[^\s\"'=:,]{{{MIN_KNOWN_LENGTH},}}")
"""What may be a value in a file of values, whatever the file's form."""


class Shown(NamedTuple):
    """One text that may be shown."""

    kind: MaterialKind
    title: str
    text: bytes


class Selection(NamedTuple):
    """What is shown, and in words of ours what is not."""

    shown: tuple[Shown, ...]
    left_out: str


def select(every: Iterable[Piece], known: Iterable[str], room: int = MAX_MATERIAL) -> Selection:
    """Take the pieces in their order, as long as there is room.

    Args:
        every: what matters most first.
        known: values that must not be shown, wherever they stand.
        room: bytes of all texts together.
    """
    redactor = Redactor(known)
    shown: list[Shown] = []
    left_out: Counter[MaterialKind] = Counter()
    taken: Counter[MaterialKind] = Counter()
    cut = 0
    for piece in every:
        full = taken[piece.kind] >= MOST.get(piece.kind, MAX_PIECES) or len(shown) >= MAX_PIECES
        if full or room <= 0:
            left_out[piece.kind] += 1
            continue
        whole = sanitise(piece.text(), redactor).text.encode("utf-8", "replace")
        # Cut after the credentials are hidden: half of one is not recognised.
        text = whole[: min(MAX_PIECE, room)]
        cut += len(text) < len(whole)
        room -= len(text)
        taken[piece.kind] += 1
        shown.append(Shown(piece.kind, one_line(piece.title, redactor, limit=150), text))
    return Selection(tuple(shown), _said(left_out, cut))


def _said(left_out: Counter[MaterialKind], cut: int) -> str:
    parts = [f"{count} of kind {kind}" for kind, count in left_out.items()]
    words = f"Not shown for lack of room: {', '.join(parts)}." if parts else ""
    return " ".join(filter(None, (words, f"{cut} texts are cut." if cut else "")))


def secret_values(bundles: Iterable[Bundle]) -> frozenset[str]:
    """Everything that stands in the Secrets of some bundles: as it is, decoded, and line by line.

    It must not be shown where a file of values or the output of a test repeats it either.
    """
    return frozenset(
        text
        for bundle in bundles
        for manifest in bundle.manifests
        if manifest.ref.kind == "Secret"
        for field in ("data", "stringData")
        for value in _strings(manifest.body.get(field))
        for whole in (value, _decoded(value))
        for text in (whole, *map(str.strip, whole.splitlines()))
    )


def values_of_secrets(texts: Iterable[str], secrets: Iterable[str]) -> frozenset[str]:
    """The words of files of values that a Secret is made with, a password within a URL say."""
    whole = "\0".join(secrets)
    return frozenset(word for text in texts for word in _VALUE.findall(text) if word in whole)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (str(each) for each in value.values() if each is not None)


def _decoded(value: str) -> str:
    try:
        return b64decode(value, validate=True).decode()
    except ValueError:  # not Base64, or no text
        return ""
