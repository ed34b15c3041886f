import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from pilothouse.bridge.dispatcher import Dispatcher, EventSender
from pilothouse.bridge.journal import Journal
from pilothouse.bridge.journal_file import Entry
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import RepositoryEvent, RepositoryRef

APP = RepositoryRef(url="https://git.example.com/acme/app")
MAIN = "refs/heads/main"
SOON = timedelta(milliseconds=1)


class RecordingSender:
    """Takes what `answer` lets through."""

    def __init__(self, answer: Callable[[RepositoryEvent], None] = lambda event: None) -> None:
        self.sent: list[str] = []
        self.attempts = 0
        self.answer = answer

    async def send_event(self, repository: RepositoryRef, event: RepositoryEvent) -> None:
        self.attempts += 1
        self.answer(event)
        self.sent.append(event.delivery)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = await Journal.open(tmp_path / "journal.db", limit_bytes=64 * 1024 * 1024)
    yield journal
    await journal.close()


@asynccontextmanager
async def running(journal: Journal, sender: EventSender) -> AsyncIterator[Dispatcher]:
    async def connect() -> EventSender:
        return sender

    dispatcher = Dispatcher(journal, {"acme/app": APP}, connect, retention=timedelta(days=1))
    task = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        await asyncio.wait_for(task, 10)


async def append(journal: Journal, number: int, ref: str = MAIN, name: str = "acme/app") -> None:
    event = RepositoryEvent(ref=ref, delivery=f"d-{number}")
    assert await journal.append(Entry(name, f"f-{number}", event))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true within 20 s")


async def until_empty(journal: Journal) -> None:
    for _ in range(2000):
        if not (await journal.backlog()).pending:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the journal was not empty within 20 s")


async def test_what_waits_at_the_start_is_sent(journal: Journal) -> None:
    await append(journal, 1)
    sender = RecordingSender()
    async with running(journal, sender):
        await until_empty(journal)
    assert sender.sent == ["d-1"]


async def test_what_comes_later_is_sent_when_it_comes(journal: Journal) -> None:
    sender = RecordingSender()
    async with running(journal, sender) as dispatcher:
        await append(journal, 1)
        dispatcher.wake()
        await until(lambda: sender.sent == ["d-1"])
        await append(journal, 2)
        dispatcher.wake()
        await until_empty(journal)
    assert sender.sent == ["d-1", "d-2"]


async def test_many_events_of_one_ref_leave_as_one_signal_by_the_newest(journal: Journal) -> None:
    for number in range(50):
        await append(journal, number)
    await append(journal, 99, ref="refs/pull/1/head")
    sender = RecordingSender()
    async with running(journal, sender):
        await until_empty(journal)
    assert sorted(sender.sent) == ["d-49", "d-99"]


async def test_nothing_is_lost_while_temporal_is_away(journal: Journal) -> None:
    away = True

    def answer(event: RepositoryEvent) -> None:
        if away:
            raise TemporaryError("TemporalUnavailable", "away", delay=SOON)

    sender = RecordingSender(answer)
    for number in range(20):
        await append(journal, number, ref=f"refs/pull/{number + 1}/head")
    async with running(journal, sender) as dispatcher:
        await until(lambda: sender.attempts > 10)
        assert dispatcher.troubled
        assert (await journal.backlog()).pending == 20
        away = False
        await until_empty(journal)
    assert sorted(sender.sent) == sorted(f"d-{number}" for number in range(20))
    assert not dispatcher.troubled


async def test_a_failed_connection_is_tried_again(journal: Journal) -> None:
    await append(journal, 1)
    sender = RecordingSender()
    attempts = 0

    async def connect() -> EventSender:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise TemporaryError("TemporalUnavailable", "nobody answers", delay=SOON)
        return sender

    dispatcher = Dispatcher(journal, {"acme/app": APP}, connect, retention=timedelta(days=1))
    task = asyncio.create_task(dispatcher.run())
    await until_empty(journal)
    dispatcher.stop()
    await asyncio.wait_for(task, 10)
    assert (attempts, sender.sent) == (3, ["d-1"])


async def test_new_events_do_not_hurry_a_dispatcher_that_waits(journal: Journal) -> None:
    def answer(event: RepositoryEvent) -> None:
        raise TemporaryError("TemporalUnavailable", "away", delay=timedelta(minutes=1))

    sender = RecordingSender(answer)
    await append(journal, 1)
    async with running(journal, sender) as dispatcher:
        await until(lambda: dispatcher.troubled)
        before = sender.attempts
        for _ in range(20):
            dispatcher.wake()
            await asyncio.sleep(0)
        assert sender.attempts == before


async def test_one_refused_event_does_not_hold_up_the_others(journal: Journal) -> None:
    def answer(event: RepositoryEvent) -> None:
        if event.delivery == "d-1":
            raise PermanentError("InvalidRequest", "never")

    sender = RecordingSender(answer)
    for number in range(1, 4):
        await append(journal, number, ref=f"refs/pull/{number}/head")
    async with running(journal, sender) as dispatcher:
        await until(lambda: len(sender.sent) == 2)
        assert not dispatcher.troubled
    assert sorted(sender.sent) == ["d-2", "d-3"]
    backlog = await journal.backlog()
    assert (backlog.pending, backlog.refused) == (1, 1)


async def test_an_event_of_a_repository_no_longer_configured_is_kept(journal: Journal) -> None:
    await append(journal, 1, name="acme/removed")
    await append(journal, 2)
    sender = RecordingSender()
    async with running(journal, sender):
        await until(lambda: sender.sent == ["d-2"])
    assert (await journal.backlog()).refused == 1


async def test_a_fault_of_ours_does_not_end_the_handing_over(journal: Journal) -> None:
    def answer(event: RepositoryEvent) -> None:
        if sender.attempts == 1:
            raise ZeroDivisionError("a fault")

    sender = RecordingSender(answer)
    await append(journal, 1)
    async with running(journal, sender):
        await until_empty(journal)
    assert (sender.attempts, sender.sent) == (2, ["d-1"])


async def test_what_was_cut_off_is_sent_at_the_next_start(journal: Journal) -> None:
    started = asyncio.Event()

    class Hanging:
        async def send_event(self, repository: RepositoryRef, event: RepositoryEvent) -> None:
            started.set()
            await asyncio.Event().wait()

    async def connect() -> EventSender:
        return Hanging()

    await append(journal, 1)
    dispatcher = Dispatcher(journal, {"acme/app": APP}, connect, retention=timedelta(days=1))
    task = asyncio.create_task(dispatcher.run())
    await asyncio.wait_for(started.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sender = RecordingSender()
    async with running(journal, sender):
        await until_empty(journal)
    assert sender.sent == ["d-1"]


async def test_old_events_are_trimmed(journal: Journal) -> None:
    await append(journal, 1)
    sender = RecordingSender()
    async with running(journal, sender):
        await until_empty(journal)

    async def connect() -> EventSender:
        return sender

    dispatcher = Dispatcher(journal, {"acme/app": APP}, connect, retention=timedelta(0))
    task = asyncio.create_task(dispatcher.run())
    entry = Entry("acme/app", "f-1", RepositoryEvent(ref=MAIN, delivery="d-1"))
    for _ in range(2000):
        if await journal.append(entry):
            break
        await asyncio.sleep(0.01)
    else:
        raise AssertionError("the first delivery was not forgotten within 20 s")
    dispatcher.stop()
    await asyncio.wait_for(task, 10)
