"""The lock of an environment on a real server: one after the other, whatever happens to whom."""

import asyncio
from collections.abc import Callable

from temporalio.client import Client

from pilothouse.models import names
from tests.workflow.driving import deploy, environment_of, free, ledger, phase, start
from tests.workflow.world import World, until

Rev = Callable[[str], str]


async def test_a_lost_history_goes_on_above_the_clusters_fencing_number(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.fencing = 41
    await deploy(client, workers, rev("a"))
    assert workers.applied[0].fencing == 42


async def test_a_hold_refuses_deployments_and_says_why(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("a"))
    await environment_of(client, workers).signal(
        names.SIGNAL_HOLD, {"by": "lead", "reason": "audit week"}
    )
    result = await deploy(client, workers, rev("b"))
    assert result.outcome == "on_hold"
    assert "audit week" in result.message


async def test_one_deployment_after_the_other_with_rising_numbers(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.writing = asyncio.Event()
    first = await start(client, workers, rev("a"))
    await phase(first, "applying")
    second = await start(client, workers, rev("b"))
    await phase(second, "lock")

    async def queued() -> bool:
        return len((await ledger(client, workers)).queue) == 1

    await until(queued)
    workers.writing.set()
    await asyncio.gather(first.result(), second.result())
    assert [(a.revision, a.fencing) for a in workers.applied] == [(rev("a"), 1), (rev("b"), 2)]


async def test_a_terminated_holder_gives_the_lock_to_the_next(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.writing = asyncio.Event()
    first = await start(client, workers, rev("a"))
    await phase(first, "applying")
    second = await start(client, workers, rev("b"))
    await phase(second, "lock")
    await first.terminate("the operator was impatient")
    workers.writing.set()
    result = await second.result()
    assert result.outcome == "deployed"
    assert workers.applied[-1].fencing == 2


async def test_superseding_comes_too_late_once_it_writes(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.writing = asyncio.Event()
    handle = await start(client, workers, rev("a"))
    await phase(handle, "applying")
    await handle.signal(names.SIGNAL_SUPERSEDE, {"by": rev("b")})
    workers.writing.set()
    assert (await handle.result()).outcome == "deployed"


async def test_a_cancelled_deployment_releases_the_lock(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.writing = asyncio.Event()
    handle = await start(client, workers, rev("a"))
    await phase(handle, "applying")
    await handle.cancel()
    workers.writing.set()
    state = await free(client, workers)
    assert state.holder is None
