"""Keys that need work: each at most once in the queue, never in two hands at once.

The semantics of client-go's work queue. Delays are timers of the event loop, which is a heap:
a thousand sleeping pods cost a thousand heap entries and no task.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from pilothouse.models.errors import PermanentError, TemporaryError

_log = structlog.get_logger()


class WorkQueue:
    """A queue of keys for several workers of one event loop."""

    def __init__(self) -> None:
        self._ready: deque[str] = deque()
        self._dirty: set[str] = set()
        self._active: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._arrived = asyncio.Semaphore(0)

    def add(self, key: str) -> None:
        """Have a key worked on soon; again, if it is being worked on just now."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._active:
            self._push(key)

    def add_after(self, key: str, delay: float) -> None:
        """Have a key worked on in so many seconds; replaces an earlier timer of the same key."""
        self.forget(key)
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(max(0.0, delay), self._expired, key)

    def forget(self, key: str) -> None:
        """Drop a key's timer, if it has one."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def serve(
        self, sync: Callable[[str], Awaitable[None]], *, retry_seconds: float, failure: str
    ) -> None:
        """Work on keys until cancelled; one that fails as we expect is tried again later.

        Args:
            sync: brings one key up to the present.
            retry_seconds: from a failure to the next try.
            failure: what to log, with the key and the error.
        """
        while True:
            key = await self.take()
            try:
                await sync(key)
            except (TemporaryError, PermanentError) as error:
                _log.warning(failure, key=key, error=str(error))
                self.add_after(key, retry_seconds)
            finally:
                self.done(key)

    async def take(self) -> str:
        """Wait for a key. It is the caller's until `done`."""
        await self._arrived.acquire()
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._active.add(key)
        return key

    def done(self, key: str) -> None:
        """Give a key back."""
        self._active.discard(key)
        if key in self._dirty:
            self._push(key)

    def clear(self) -> None:
        """Drop every timer, so that nothing outlives the workers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _push(self, key: str) -> None:
        self._ready.append(key)
        self._arrived.release()

    def _expired(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)
