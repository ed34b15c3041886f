"""The journal's SQLite file, for one thread: what is in it, and each statement that touches it."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from pilothouse.models.repository import RepositoryEvent

_SCHEMA_VERSION = 1
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY,
    repository TEXT NOT NULL,          -- its key in the configuration
    delivery TEXT NOT NULL,            -- the forge's id; unsigned, so it proves nothing
    fingerprint TEXT NOT NULL,         -- what happened: ref, head, action, the forge's time
    event TEXT NOT NULL,               -- RepositoryEvent as JSON
    received_at REAL NOT NULL,         -- Unix seconds, as every time here
    next_at REAL NOT NULL,             -- not to be sent before
    attempts INTEGER NOT NULL DEFAULT 0,
    problem TEXT NOT NULL DEFAULT '',  -- why it was refused last
    done_at REAL,
    sent_as TEXT,                      -- the delivery that spoke for this one
    UNIQUE (repository, delivery),
    UNIQUE (repository, fingerprint)
);
CREATE INDEX pending ON deliveries (next_at, seq) WHERE done_at IS NULL;
CREATE INDEX finished ON deliveries (done_at) WHERE done_at IS NOT NULL;
CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL);
PRAGMA user_version = 1;
COMMIT;
"""
_INSERT = """
INSERT INTO deliveries (repository, delivery, fingerprint, event, received_at, next_at)
VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_PENDING = """
SELECT seq, repository, event, attempts FROM deliveries
WHERE done_at IS NULL AND next_at <= ?
ORDER BY row_number() OVER (PARTITION BY repository ORDER BY seq), seq LIMIT ?
"""
"""The first of each repository, then the second of each: a flood to one delays no other."""
_DONE = "UPDATE deliveries SET done_at = ?, sent_as = ?, problem = '' WHERE seq = ?"
_REFUSED = "UPDATE deliveries SET attempts = attempts + 1, problem = ?, next_at = ? WHERE seq = ?"
_BACKLOG = """
SELECT count(*), count(nullif(attempts, 0)), min(received_at), min(next_at)
FROM deliveries WHERE done_at IS NULL
"""
_PROBE = "INSERT INTO probe VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at"
_TRIM = """
DELETE FROM deliveries WHERE seq IN
(SELECT seq FROM deliveries WHERE done_at < ? ORDER BY done_at LIMIT ?)
"""


class JournalUnavailableError(Exception):
    """The journal could not be read or written: nothing was accepted."""


class Entry(NamedTuple):
    """What is written for one delivery."""

    repository: str
    """The repository's key in the configuration."""
    fingerprint: str
    event: RepositoryEvent


class Pending(NamedTuple):
    """One event that Temporal has not taken."""

    seq: int
    repository: str
    event: RepositoryEvent
    attempts: int


class Backlog(NamedTuple):
    """How far Temporal is behind."""

    pending: int
    refused: int
    """Of those, tried and refused by themselves; they are tried again."""
    oldest_seconds: float
    due_seconds: float | None
    """Until the first is due; None if nothing waits."""


class JournalFile:
    """One connection to the file. WAL and synchronous=FULL: what is committed outlives us.

    Every method raises `JournalUnavailableError` if SQLite cannot do it, and then did nothing.
    """

    def __init__(
        self,
        path: Path,
        *,
        limit_bytes: int,
        lock_timeout: timedelta,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._clock = clock
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            self._inode = path.stat().st_ino
            self._limit_bytes = limit_bytes
            self._database = sqlite3.connect(
                path, isolation_level=None, timeout=lock_timeout.total_seconds()
            )
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def close(self) -> None:
        """Close the file."""
        with self._explained():
            self._database.close()

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        """Commit entries together; False for each that was known."""
        now = self._clock()
        with self._transaction():
            # Only here: what is in must still be marked and trimmed when nothing more goes in.
            if self._used_bytes() >= self._limit_bytes:
                raise JournalUnavailableError(
                    f"the journal {self._path} is full: it holds {self._limit_bytes} bytes at most"
                )
            return [
                self._database.execute(
                    _INSERT,
                    (
                        entry.repository,
                        entry.event.delivery,
                        entry.fingerprint,
                        entry.event.model_dump_json(),
                        now,
                        now,
                    ),
                ).rowcount
                == 1
                for entry in entries
            ]

    def pending(self, limit: int) -> list[Pending]:
        """Return events that are due, in turn between repositories, oldest first in each."""
        with self._explained():
            rows = self._database.execute(_PENDING, (self._clock(), limit)).fetchall()
        return [
            Pending(seq, repository, RepositoryEvent.model_validate_json(event), attempts)
            for seq, repository, event, attempts in rows
        ]

    def mark_done(self, rows: Sequence[Pending], sent_as: str) -> None:
        """Temporal has these events; `sent_as` is the delivery that it was told."""
        now = self._clock()
        with self._transaction():
            self._database.executemany(_DONE, [(now, sent_as, row.seq) for row in rows])

    def mark_refused(self, rows: Sequence[Pending], problem: str, wait: timedelta) -> None:
        """These events were refused by themselves; they wait and let others pass."""
        next_at = self._clock() + wait.total_seconds()
        with self._transaction():
            values = [(problem[:500], next_at, row.seq) for row in rows]
            self._database.executemany(_REFUSED, values)

    def backlog(self) -> Backlog:
        """Count what Temporal has not taken."""
        with self._explained():
            row = self._database.execute(_BACKLOG).fetchone()
        pending, refused, received_at, next_at = row
        now = self._clock()
        return Backlog(
            pending=pending,
            refused=refused,
            oldest_seconds=max(0.0, now - received_at) if pending else 0.0,
            due_seconds=max(0.0, next_at - now) if pending else None,
        )

    def probe(self) -> None:
        """Prove that the file can be written, by writing."""
        with self._transaction():
            self._database.execute(_PROBE, (self._clock(),))

    def trim(self, keep: timedelta, limit: int) -> int:
        """Delete sent events older than `keep`, at most `limit`, and return how many."""
        with self._transaction():
            before = self._clock() - keep.total_seconds()
            return self._database.execute(_TRIM, (before, limit)).rowcount

    def _used_bytes(self) -> int:
        (page_size,) = self._database.execute("PRAGMA page_size").fetchone()
        (pages,) = self._database.execute("PRAGMA page_count").fetchone()
        (free,) = self._database.execute("PRAGMA freelist_count").fetchone()
        return int(page_size * (pages - free))

    def _prepare(self) -> None:
        execute = self._database.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA fullfsync = ON")  # macOS: its fsync alone does not reach the disk
        (version,) = execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._database.executescript(_SCHEMA)
        elif version != _SCHEMA_VERSION:
            raise JournalUnavailableError(
                f"{self._path} has version {version}, this bridge writes {_SCHEMA_VERSION}: "
                "run the newer bridge, or give this one another file"
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            # A deleted file stays writable through our descriptor, and what is written is lost.
            if self._path.stat().st_ino != self._inode:
                raise JournalUnavailableError(f"{self._path} was replaced: restart the bridge")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise JournalUnavailableError(f"the journal {self._path}: {error}") from error
