"""Locks between processes: the kernel lets go when the holder ends, however it ends."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

_POLL_SECONDS = 0.2


class FileLock:
    """An exclusive lock on one path. Not reentrant; two objects exclude each other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Take the lock if it is free; returns whether we hold it now. Never waits."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        """Give the lock back; quiet if we do not hold it. The file stays, others may wait on it."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


@asynccontextmanager
async def locked(path: Path, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock on `path`; waits as long as another holds it, and can be cancelled.

    Args:
        path: the lock file; made when it is missing, never removed.
        on_wait: called once, before we begin to wait.
    """
    lock = FileLock(path)
    waiting = False
    while not lock.acquire():
        if not waiting:
            on_wait()
            waiting = True
        await asyncio.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()
