"""Lexical search over the files of a revision: BM25, with the place of every passage."""

import re
import sqlite3
from collections import OrderedDict
from threading import Lock
from typing import Final

from pilothouse.gitops.diagnosis.text import quote
from pilothouse.models.base import Contract
from pilothouse.workspace.snapshots import Heads, Placed, View, holds_secret

PASSAGE_LINES: Final = 20
MAX_LINES: Final = 5000
"""Of one file: beyond that it is data, not something to cite."""
MAX_QUERY_WORDS: Final = 32
MAX_EXCERPT: Final = 1200
MAX_KEPT: Final = 4
_WORD: Final = re.compile(r"\w{2,64}")
_STOP_WORDS: Final = """
a about all an and any are as at be by can did do does for from had has have how in is it its me my
of on or our show that the their them there these this those to was were what when where which who
why will with you your
"""
_STOP: Final = frozenset(_STOP_WORDS.split())


class Passage(Contract):
    """Some lines that match, with where they stand."""

    citation: str
    """`path:line`, of the first line."""
    path: str
    start: int
    end: int
    branch: str
    revision: str
    text: str
    """As it stands there, but what looks like a credential is masked; untrusted."""
    score: float
    """BM25: higher is nearer."""


class SearchIndex:
    """One full-text index for each pair of heads, in memory and rebuilt at will."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, Heads], sqlite3.Connection] = OrderedDict()
        self._lock = Lock()

    def search(self, workspace: str, view: View, query: str, *, limit: int) -> list[Passage]:
        """The passages nearest to a question, the nearest first.

        Args:
            workspace: its id; no other workspace's files are in the index that is asked.
            view: the files.
            query: words in any order; only letters, digits and underscores count.
            limit: at most so many.
        """
        words = [word for word in _WORD.findall(query.lower()) if word not in _STOP]
        if not words:
            return []
        expression = " OR ".join(f'"{word}"' for word in dict.fromkeys(words[:MAX_QUERY_WORDS]))
        with self._lock:
            rows = self._index(workspace, view).execute(
                "SELECT path, start, stop, body, bm25(passages) AS distance FROM passages "
                "WHERE passages MATCH ? ORDER BY distance LIMIT ?",
                (expression, limit),
            )
            return [_passage(view, *row) for row in rows]

    def _index(self, workspace: str, view: View) -> sqlite3.Connection:
        key = (workspace, view.heads)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = _built(view)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)[1].close()
        return found

    def close(self) -> None:
        """Forget every index."""
        with self._lock:
            while self._kept:
                self._kept.popitem()[1].close()


def _built(view: View) -> sqlite3.Connection:
    # Used under the lock only, from whichever thread holds it.
    index = sqlite3.connect(":memory:", check_same_thread=False)
    index.execute(
        "CREATE VIRTUAL TABLE passages USING fts5("
        "title, body, path UNINDEXED, start UNINDEXED, stop UNINDEXED, "
        "tokenize = 'porter unicode61')"
    )
    for path, placed in view.files.items():
        index.executemany(
            "INSERT INTO passages (title, body, path, start, stop) VALUES (?, ?, ?, ?, ?)",
            _passages(path, placed),
        )
    return index


def _passages(path: str, placed: Placed) -> list[tuple[str, str, str, int, int]]:
    data = placed.file.data
    if data is None or b"\0" in data[:8192] or holds_secret(placed.file):
        return []
    lines = data.decode(errors="replace").splitlines()[:MAX_LINES]
    title = " ".join(_WORD.findall(path))
    return [
        (title, "\n".join(lines[at : at + PASSAGE_LINES]), path, at + 1, at + PASSAGE_LINES)
        for at in range(0, len(lines), PASSAGE_LINES)
    ]


def _passage(view: View, path: str, start: int, stop: int, body: str, distance: float) -> Passage:
    placed = view.files[path]
    lines = body.splitlines()
    return Passage(
        citation=f"/{path}:{start}",
        path=f"/{path}",
        start=start,
        end=min(stop, start + len(lines) - 1),
        branch=placed.branch,
        revision=placed.revision,
        text="\n".join(_masked(line) for line in lines)[:MAX_EXCERPT],
        score=round(-distance, 4),
    )


def _masked(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip(" "))]
    return indent + quote(line)
