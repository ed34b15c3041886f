"""The journal: an event is on disk before the forge hears 202, and stays until Temporal has it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from pilothouse.bridge.journal_file import (
    Backlog,
    Entry,
    JournalFile,
    JournalUnavailableError,
    Pending,
)

MAX_BATCH = 256
"""Events in one commit."""
LOCK_TIMEOUT = timedelta(seconds=2)
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class Journal:
    """A journal file behind one thread, with group commit.

    While one commit waits for the disk, new events gather and share the next: so throughput grows
    with load, and each event waits for two commits at most. Every method raises
    `JournalUnavailableError` if the file cannot be used.
    """

    def __init__(self, thread: ThreadPoolExecutor, file: JournalFile) -> None:
        self._thread = thread
        self._file = file
        self._waiting: list[tuple[Entry, asyncio.Future[bool]]] = []
        self._writer: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, path: Path, *, limit_bytes: int, lock_timeout: timedelta = LOCK_TIMEOUT
    ) -> Self:
        """Open or create the file; one journal a bridge, on a local disk.

        Args:
            path: the SQLite file; its folder is made.
            limit_bytes: how large the file may grow; beyond that nothing is accepted.
            lock_timeout: how long another process may hold the file.
        """
        # SQLite wants one thread, and the disk's waits must not be the event loop's.
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        create = partial(JournalFile, path, limit_bytes=limit_bytes, lock_timeout=lock_timeout)
        try:
            file = await asyncio.get_running_loop().run_in_executor(thread, create)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(thread, file)

    async def close(self) -> None:
        """Finish what is being written, then close."""
        while self._writer and not self._writer.done():
            await self._writer
        await self._call(self._file.close)
        self._thread.shutdown()

    async def append(self, entry: Entry) -> bool:
        """Write one event durably; False if it was known, by delivery or by what happened."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        return await written

    async def pending(self, limit: int) -> list[Pending]:
        """Return events that are due, in turn between repositories, oldest first in each."""
        return await self._call(self._file.pending, limit)

    async def mark_done(self, rows: Sequence[Pending], sent_as: str) -> None:
        """Temporal has these events; `sent_as` is the delivery that it was told."""
        await self._call(self._file.mark_done, rows, sent_as)

    async def mark_refused(self, rows: Sequence[Pending], problem: str, wait: timedelta) -> None:
        """These events were refused by themselves; they wait and let others pass."""
        await self._call(self._file.mark_refused, rows, problem, wait)

    async def backlog(self) -> Backlog:
        """Count what Temporal has not taken."""
        return await self._call(self._file.backlog)

    async def probe(self) -> None:
        """Prove that the file can be written, by writing."""
        await self._call(self._file.probe)

    async def trim(self, keep: timedelta, limit: int = 5000) -> int:
        """Delete sent events older than `keep`, at most `limit`, and return how many."""
        return await self._call(self._file.trim, keep, limit)

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            try:
                fresh = await self._call(self._file.append, [entry for entry, _ in batch])
            except Exception as error:  # whatever it was, nobody may wait for ever
                _refuse([written for _, written in batch], error)
                continue
            for (_, written), new in zip(batch, fresh, strict=True):
                if not written.done():  # done: whoever asked has gone away
                    written.set_result(new)

    async def _call(
        self,
        work: Callable[_Parameters, _Result],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> _Result:
        run = partial(work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, run)


def _refuse(waiting: Sequence[asyncio.Future[bool]], cause: Exception) -> None:
    for written in waiting:
        if not written.done():
            # Each waiter its own: one exception raised in many tasks would grow one traceback.
            error = JournalUnavailableError(str(cause))
            error.__cause__ = cause
            written.set_exception(error)
