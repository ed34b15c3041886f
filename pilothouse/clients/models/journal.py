"""The journal of paid replies: what was paid for is not asked again."""

import os
import tempfile
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from time import time

import structlog
from pydantic import ValidationError

from pilothouse.clients.models.provider import Reply
from pilothouse.models.base import Contract
from pilothouse.models.errors import PermanentError

KEEP = timedelta(days=7)
"""How long replies stay: longer than any activity is retried."""
_log = structlog.get_logger()


class _Entry(Contract):
    key: str
    question: str
    reply: Reply


class ReplyJournal:
    """Replies by operation id, each in a file that is on the disk before anyone acts on it.

    An entry holds the reply itself, so it is worth something even if the content store lost what
    was written around it. What stays: a worker that dies after the provider took the question and
    before the entry is on the disk has paid for a reply that nobody has, and the retry pays again.
    No provider offers an idempotency key for this call, so nobody can close that window.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, key: str, question: str) -> Reply | None:
        """The reply to this operation, if it was paid.

        An entry that cannot be read counts as none: it is logged, and the call made again.

        Raises:
            PermanentError: `InvalidRequest`, the operation id was used for another question.
        """
        try:
            entry = _Entry.model_validate_json(self._path(key).read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            _log.warning("an entry of the reply journal is damaged", operation=key)
            return None
        if (entry.key, entry.question) != (key, question):
            raise PermanentError(
                "InvalidRequest", f"the operation {key[:200]} asked something else before"
            )
        return entry.reply

    def record(self, key: str, question: str, reply: Reply) -> None:
        """Write a reply down; on return it survives a power cut. Idempotent, last one wins.

        Raises:
            PermanentError: `ModelRefused`, the disk does not take it: a retry would pay again, and
                fail again.
        """
        try:
            self._write(self._path(key), _Entry(key=key, question=question, reply=reply))
        except OSError as error:
            raise PermanentError(
                "ModelRefused",
                f"a paid reply could not be written to {self._directory} ({error.strerror}): mend "
                "that disk first",
            ) from None

    def _write(self, path: Path, entry: _Entry) -> None:
        path.parent.mkdir(exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(entry.model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        for folder in (path.parent, self._directory):
            _sync(folder)

    def trim(self, keep: timedelta = KEEP) -> int:
        """Delete entries older than `keep`; returns how many. Meant for a worker's start."""
        before = time() - keep.total_seconds()
        deleted = 0
        for path in self._directory.glob("*/*"):
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
                    deleted += 1
            except FileNotFoundError:
                continue  # another worker trims the same folder
        return deleted

    def _path(self, key: str) -> Path:
        name = sha256(key.encode()).hexdigest()
        return self._directory / name[:2] / f"{name[2:]}.json"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
