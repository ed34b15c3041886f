"""From the journal to Temporal: at least once, for as long as it takes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import structlog

from pilothouse.bridge.journal import Journal
from pilothouse.bridge.journal_file import JournalUnavailableError, Pending
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import RepositoryEvent, RepositoryRef

BATCH = 2000
"""Events looked at together; those about one ref become one signal."""
SENDERS = 8
"""Signals in flight. Temporal's own queue is the bottleneck: more only adds waiting."""
FIRST_PAUSE = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(seconds=30)
REFUSED_PAUSE = timedelta(minutes=1)
LONGEST_REFUSED_PAUSE = timedelta(hours=1)
TRIM_INTERVAL = timedelta(hours=1)
TRIM_ROWS = 5000
_EXPECTED = (TemporaryError, PermanentError, JournalUnavailableError)
"""What may pass, or a person may mend; anything else is a fault of ours and logs its place."""

_log = structlog.get_logger()


class EventSender(Protocol):
    """What the dispatcher needs of Temporal."""

    async def send_event(self, repository: RepositoryRef, event: RepositoryEvent) -> None:
        """Tell a repository's workflow what happened."""


class Dispatcher:
    """Drains the journal, oldest first; several events about one ref leave as one signal.

    An event says "this ref moved, go and look": of many about one ref, the newest says all. While
    Temporal is away it waits, longer each time up to `LONGEST_PAUSE`. A single event that is
    refused waits by itself and lets the others pass. Nothing unsent is ever dropped. If we die
    between sending and marking, the event is sent again: the workflow knows the delivery.
    """

    def __init__(
        self,
        journal: Journal,
        repositories: Mapping[str, RepositoryRef],
        connect: Callable[[], Awaitable[EventSender]],
        *,
        retention: timedelta,
    ) -> None:
        self._journal = journal
        self._repositories = repositories
        self._connect = connect
        self._retention = retention
        self._sender: EventSender | None = None
        self._wakeup = asyncio.Event()
        self._stopping = asyncio.Event()
        self._next_trim = 0.0
        self.troubled = False
        """Whether the last attempt to hand over failed."""

    def wake(self) -> None:
        """Something new is in the journal."""
        self._wakeup.set()

    def stop(self) -> None:
        """Let `run` return after what is in flight."""
        self._stopping.set()
        self._wakeup.set()

    async def run(self) -> None:
        """Hand over until `stop`."""
        failures = 0
        while not self._stopping.is_set():
            self._wakeup.clear()
            try:
                due_seconds = await self._drain()
            except Exception as error:  # this loop is all that empties the journal: it goes on
                failures += 1
                pause = _pause(failures, error)
                self.troubled = True
                expected = isinstance(error, _EXPECTED)
                _log.warning(
                    "bridge.waiting",
                    reason=str(error),
                    seconds=round(pause, 1),
                    exc_info=None if expected else error,
                )
                # New events do not shorten this wait: a flood must not hammer a sick server.
                await _wait(self._stopping, pause)
            else:
                failures = 0
                self.troubled = False
                await _wait(self._wakeup, min(due_seconds, TRIM_INTERVAL.total_seconds()))

    async def _drain(self) -> float:
        """Send all that is due; return in how many seconds to look again."""
        while rows := await self._journal.pending(BATCH):
            if self._sender is None:
                self._sender = await self._connect()
            await self._send_all(_by_ref(rows), self._sender)
            if self._stopping.is_set():
                return 0.0
        await self._trim()
        due_seconds = (await self._journal.backlog()).due_seconds
        return TRIM_INTERVAL.total_seconds() if due_seconds is None else due_seconds

    async def _send_all(self, groups: Iterator[Sequence[Pending]], sender: EventSender) -> None:
        troubles: list[Exception] = []

        async def work() -> None:
            for rows in groups:  # one iterator for all workers: each takes the next
                if troubles or self._stopping.is_set():
                    return
                try:
                    await self._send(rows, sender)
                except (TemporaryError, JournalUnavailableError) as error:
                    troubles.append(error)

        await asyncio.gather(*(work() for _ in range(SENDERS)))
        if troubles:
            raise troubles[0]

    async def _send(self, rows: Sequence[Pending], sender: EventSender) -> None:
        newest = rows[-1]
        repository = self._repositories.get(newest.repository)
        log = _log.bind(repository=newest.repository, ref=newest.event.ref, events=len(rows))
        if repository is None:
            problem = "the repository is no longer configured"
            await self._journal.mark_refused(rows, problem, LONGEST_REFUSED_PAUSE)
            log.warning("bridge.held", reason=problem)
            return
        try:
            await sender.send_event(repository, newest.event)
        except PermanentError as error:
            pause = REFUSED_PAUSE * 2.0 ** min(newest.attempts, 10)
            await self._journal.mark_refused(rows, str(error), min(pause, LONGEST_REFUSED_PAUSE))
            log.error("bridge.refused", reason=str(error), delivery=newest.event.delivery)
            return
        await self._journal.mark_done(rows, newest.event.delivery)
        log.info("bridge.sent", delivery=newest.event.delivery)

    async def _trim(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._next_trim:
            return
        trimmed = await self._journal.trim(self._retention, TRIM_ROWS)
        # A full slice means there is more: take it at the next look, not all at once.
        self._next_trim = now + (0 if trimmed == TRIM_ROWS else TRIM_INTERVAL.total_seconds())


def _by_ref(rows: Sequence[Pending]) -> Iterator[Sequence[Pending]]:
    groups: dict[tuple[str, str], list[Pending]] = {}
    for row in rows:
        groups.setdefault((row.repository, row.event.ref), []).append(row)
    return iter(groups.values())


def _pause(failures: int, error: Exception) -> float:
    if isinstance(error, TemporaryError) and error.delay:
        return error.delay.total_seconds()
    longest = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE).total_seconds()
    return longest * random.uniform(0.5, 1.0)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
