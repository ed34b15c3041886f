import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from pilothouse.bridge.journal import Journal
from pilothouse.bridge.journal_file import Entry, JournalFile, JournalUnavailableError
from pilothouse.models.repository import RepositoryEvent

LIMIT = 64 * 1024 * 1024


def entry(number: int, repository: str = "acme/app", fingerprint: str = "") -> Entry:
    event = RepositoryEvent(
        kind="pull_request", ref=f"refs/pull/{number + 1}/head", delivery=f"d-{number}"
    )
    return Entry(repository, fingerprint or f"f-{number}", event)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = await Journal.open(
        tmp_path / "journal.db", limit_bytes=LIMIT, lock_timeout=timedelta(milliseconds=50)
    )
    yield journal
    await journal.close()


async def test_an_appended_event_is_pending_until_it_is_done(journal: Journal) -> None:
    assert await journal.append(entry(1))
    (row,) = await journal.pending(10)
    assert row.event == entry(1).event
    await journal.mark_done([row], "d-1")
    assert await journal.pending(10) == []
    assert (await journal.backlog()).pending == 0


async def test_a_delivery_is_written_once_also_after_it_was_sent(journal: Journal) -> None:
    assert await journal.append(entry(1))
    assert not await journal.append(entry(1, fingerprint="another"))
    await journal.mark_done(await journal.pending(10), "d-1")
    assert not await journal.append(entry(1))


async def test_the_same_happening_under_another_delivery_is_written_once(journal: Journal) -> None:
    assert await journal.append(entry(1, fingerprint="same"))
    assert not await journal.append(entry(2, fingerprint="same"))


async def test_repositories_do_not_shadow_each_others_deliveries(journal: Journal) -> None:
    assert await journal.append(entry(1))
    assert await journal.append(entry(1, repository="acme/other"))


async def test_events_written_at_once_are_all_answered(journal: Journal) -> None:
    entries = [entry(number % 900) for number in range(1000)]
    fresh = await asyncio.gather(*map(journal.append, entries))
    assert fresh.count(True) == 900
    assert (await journal.backlog()).pending == 900


async def test_a_flood_to_one_repository_lets_the_other_through(journal: Journal) -> None:
    flood = [journal.append(entry(number)) for number in range(100)]
    await asyncio.gather(*flood)
    await journal.append(entry(1, repository="acme/other"))
    assert "acme/other" in [row.repository for row in await journal.pending(2)]


async def test_a_refused_event_waits_and_is_counted(journal: Journal) -> None:
    await journal.append(entry(1))
    await journal.append(entry(2))
    first = (await journal.pending(1))[0]
    await journal.mark_refused([first], "no", timedelta(minutes=1))
    assert [row.event.delivery for row in await journal.pending(10)] == ["d-2"]
    backlog = await journal.backlog()
    assert (backlog.pending, backlog.refused) == (2, 1)


async def test_what_was_appended_survives_a_new_opening(journal: Journal, tmp_path: Path) -> None:
    await journal.append(entry(1))
    # Opened beside the first, which never closed: as after kill -9.
    other = await Journal.open(tmp_path / "journal.db", limit_bytes=LIMIT)
    assert [row.event.delivery for row in await other.pending(10)] == ["d-1"]
    await other.close()


async def test_a_locked_file_refuses_and_then_recovers(journal: Journal, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalUnavailableError, match="locked"):
        await journal.append(entry(1))
    other.execute("ROLLBACK")
    other.close()
    assert await journal.append(entry(1))


async def test_a_full_journal_refuses_and_empties_and_accepts_again(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "small.db", limit_bytes=64 * 1024)
    accepted = 0
    with pytest.raises(JournalUnavailableError, match="is full"):
        for number in range(10_000):
            assert await journal.append(entry(number))
            accepted += 1
    rows = await journal.pending(10_000)
    assert len(rows) == accepted > 50
    await journal.mark_done(rows, "d-0")
    assert await journal.trim(timedelta(0)) == accepted
    assert await journal.append(entry(20_000))
    await journal.close()


async def test_a_full_disk_refuses_what_it_cannot_keep_and_recovers(
    journal: Journal, tmp_path: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = (tmp_path / "journal.db-wal").stat().st_size + 100_000
    accepted = 0
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        with pytest.raises(JournalUnavailableError):
            for number in range(10_000):
                assert await journal.append(entry(number))
                accepted += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(await journal.pending(10_000)) == accepted > 0
    assert await journal.append(entry(20_000))


async def test_a_deleted_file_accepts_nothing_more(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "journal.db").rename(tmp_path / "gone.db")
    with pytest.raises(JournalUnavailableError):
        await journal.append(entry(1))
    (tmp_path / "journal.db").touch()
    with pytest.raises(JournalUnavailableError, match="was replaced"):
        await journal.append(entry(1))


async def test_a_file_of_a_newer_bridge_is_left_alone(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "new.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(JournalUnavailableError, match="version 99"):
        await Journal.open(tmp_path / "new.db", limit_bytes=LIMIT)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database " * 100)
    with pytest.raises(JournalUnavailableError, match="not a database"):
        await Journal.open(tmp_path / "text.db", limit_bytes=LIMIT)


async def test_the_probe_writes(journal: Journal, tmp_path: Path) -> None:
    await journal.probe()
    (tmp_path / "journal.db").unlink()
    with pytest.raises(JournalUnavailableError):
        await journal.probe()


def test_only_old_events_that_were_sent_are_trimmed(tmp_path: Path) -> None:
    now = 1000.0
    file = JournalFile(
        tmp_path / "journal.db", limit_bytes=LIMIT, lock_timeout=timedelta(0), clock=lambda: now
    )
    file.append([entry(1), entry(2)])
    file.mark_done(file.pending(1), "d-1")
    now = 2000.0
    assert file.trim(timedelta(seconds=1001), limit=10) == 0
    assert file.trim(timedelta(seconds=999), limit=10) == 1
    assert [row.event.delivery for row in file.pending(10)] == ["d-2"]
    assert file.backlog().oldest_seconds == 1000.0
    file.close()


def test_the_file_is_for_its_owner_only_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.db"
    file = JournalFile(path, limit_bytes=LIMIT, lock_timeout=timedelta(0))
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert file._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert file._database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    file.close()
