"""Locks of callers that are no workflows, and the deployments that they ask for under them."""

import asyncio
from collections.abc import Callable
from typing import Any

from temporalio.client import Client, WorkflowHandle

from pilothouse.clients.temporal.requests import WorkspaceRequests
from pilothouse.models import names
from pilothouse.models.workspace import LeaseRequest, LeaseState
from tests.workflow.driving import deploy, environment_of, ledger, phase, start
from tests.workflow.world import World, until, working

Rev = Callable[[str], str]
ONE, OTHER = "k" + "1" * 12, "k" + "2" * 12


def wanted(world: World, key: str, rev: str, seconds: int = 900) -> LeaseRequest:
    return LeaseRequest(
        repository=world.repository,
        environment="staging",
        holder=key,
        revision=rev,
        lease_seconds=seconds,
    )


def lease_of(world: World, key: str) -> str:
    return names.lease_id(world.repository.slug, "staging", key)


async def take(
    client: Client, world: World, key: str, rev: str, seconds: int = 900, wait: float = 10
) -> LeaseState:
    request = wanted(world, key, rev, seconds)
    return await WorkspaceRequests(client).acquire(request, wait_seconds=wait)


async def holds(client: Client, world: World, holder: str) -> None:
    """Wait until this workflow, or nobody, holds staging's lock."""

    async def look() -> bool:
        state = await ledger(client, world)
        return (state.holder.holder if state.holder else "") == holder

    await until(look)


async def waits(client: Client, world: World, holder: str) -> None:
    async def look() -> bool:
        return any(each.holder == holder for each in (await ledger(client, world)).queue)

    await until(look)


async def under(client: Client, world: World, rev: str, key: str) -> WorkflowHandle[Any, Any]:
    return await start(client, world, rev, under=lease_of(world, key))


# -- one lock -------------------------------------------------------------------------------------


async def test_of_two_keys_that_race_one_has_the_lock_and_then_the_other(
    client: Client, workers: World, rev: Rev
) -> None:
    raced = await asyncio.gather(
        *(take(client, workers, key, rev("a"), wait=2) for key in (ONE, OTHER))
    )
    assert sorted(each.phase for each in raced) == ["held", "waiting"]
    first = ONE if raced[0].phase == "held" else OTHER
    second = OTHER if first == ONE else ONE
    await WorkspaceRequests(client).release(wanted(workers, first, rev("a")))
    taken = await take(client, workers, second, rev("a"))
    assert taken.phase == "held"
    assert [each.answer.fencing for each in (*raced, taken) if each.answer] == [1, 2]


async def test_a_key_deploys_under_its_lease_while_others_wait(
    client: Client, workers: World, rev: Rev
) -> None:
    assert (await take(client, workers, ONE, rev("a"))).phase == "held"
    other = await start(client, workers, rev("b"))
    await phase(other, "lock")
    await waits(client, workers, other.id)
    async with asyncio.timeout(30):
        assert (await (await under(client, workers, rev("a"), ONE)).result()).outcome == "deployed"
    await holds(client, workers, lease_of(workers, ONE))
    state = await ledger(client, workers)
    assert (state.current, state.fencing, state.lender) == (rev("a"), 2, None)
    assert [(each.revision, each.fencing) for each in workers.applied] == [(rev("a"), 2)]
    await WorkspaceRequests(client).release(wanted(workers, ONE, rev("a")))
    assert (await other.result()).outcome == "deployed"
    assert [each.fencing for each in workers.applied] == [2, 3]


async def test_another_keys_deployment_waits_for_the_lease(
    client: Client, workers: World, rev: Rev
) -> None:
    await take(client, workers, ONE, rev("a"))
    handle = await under(client, workers, rev("a"), OTHER)
    await waits(client, workers, handle.id)
    assert workers.applied == []
    await WorkspaceRequests(client).release(wanted(workers, ONE, rev("a")))
    assert (await handle.result()).outcome == "deployed"


async def test_nothing_is_lent_by_a_deployment_that_writes(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.writing = asyncio.Event()
    first = await start(client, workers, rev("a"))
    await phase(first, "applying")
    thief = await start(client, workers, rev("b"), under=first.id)
    await waits(client, workers, thief.id)
    assert (await ledger(client, workers)).holder.holder == first.id
    workers.writing.set()
    await asyncio.gather(first.result(), thief.result())
    assert [each.fencing for each in workers.applied] == [1, 2]


# -- what a lease does not get around ------------------------------------------------------------


async def test_a_hold_that_came_after_the_lease_counts(
    client: Client, workers: World, rev: Rev
) -> None:
    await take(client, workers, ONE, rev("a"))
    claim = {"by": "lead@example.org", "reason": "audit week"}
    await environment_of(client, workers).signal(names.SIGNAL_HOLD, claim)
    result = await (await under(client, workers, rev("a"), ONE)).result()
    assert (result.outcome, "audit week" in result.message) == ("on_hold", True)
    await holds(client, workers, lease_of(workers, ONE))
    assert workers.applied == []


async def test_the_number_is_above_the_clusters_though_the_leases_is_not(
    client: Client, workers: World, rev: Rev
) -> None:
    held = await take(client, workers, ONE, rev("a"))
    workers.fencing = 41
    assert (await (await under(client, workers, rev("a"), ONE)).result()).outcome == "deployed"
    assert (held.answer and held.answer.fencing, workers.applied[0].fencing) == (1, 42)


async def test_a_lease_that_waits_is_nothing_to_give_way_to(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.history = [rev("a"), rev("b")]
    workers.slow.add(rev("a"))
    first = await start(client, workers, rev("a"))
    await phase(first, "health")
    assert (await take(client, workers, ONE, rev("b"), wait=1)).phase == "waiting"
    # The holder was told who waits as soon as the lease was queued.
    assert workers.calls.count("compare_revisions") == 0
    workers.slow.clear()
    assert (await first.result()).outcome == "deployed"


# -- how a lease ends -----------------------------------------------------------------------------


async def test_a_lease_that_is_not_renewed_ends_and_its_lock_is_free(
    client: Client, workers: World, rev: Rev
) -> None:
    assert (await take(client, workers, ONE, rev("a"), seconds=5)).phase == "held"
    result = await deploy(client, workers, rev("b"))
    assert result.outcome == "deployed"
    handle = client.get_workflow_handle(lease_of(workers, ONE), result_type=LeaseState)
    assert (await handle.result()).phase == "ended"


async def test_a_lease_that_ends_while_its_deployment_writes_leaves_it_the_lock(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.writing = asyncio.Event()
    await take(client, workers, ONE, rev("a"))
    mine = await under(client, workers, rev("a"), ONE)
    await phase(mine, "applying")
    await WorkspaceRequests(client).release(wanted(workers, ONE, rev("a")))
    other = await start(client, workers, rev("b"))
    await waits(client, workers, other.id)
    state = await ledger(client, workers)
    assert (state.holder.holder, state.lender) == (mine.id, None)
    workers.writing.set()
    assert [(await each.result()).outcome for each in (mine, other)] == ["deployed", "deployed"]
    assert [each.fencing for each in workers.applied] == [2, 3]


async def test_a_lease_that_was_terminated_is_taken_back_and_wrote_nothing(
    client: Client, workers: World, rev: Rev
) -> None:
    assert (await deploy(client, workers, rev("a"))).outcome == "deployed"
    await take(client, workers, ONE, rev("b"))
    await client.get_workflow_handle(lease_of(workers, ONE)).terminate("the operator was impatient")
    other = await start(client, workers, rev("c"))
    assert (await other.result()).outcome == "deployed"
    notices = (await ledger(client, workers)).notices
    assert any("took the lock back from lease/" in each for each in notices)
    assert [each.revision for each in workers.applied] == [rev("a"), rev("c")]


async def test_a_deployment_that_was_terminated_gives_the_lock_back_to_its_lease(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.writing = asyncio.Event()
    await take(client, workers, ONE, rev("a"))
    mine = await under(client, workers, rev("a"), ONE)
    await phase(mine, "applying")
    other = await start(client, workers, rev("b"))
    await waits(client, workers, other.id)
    await mine.terminate("the operator was impatient")
    workers.writing.set()
    # Whether it still runs is asked every 20 seconds.
    async with asyncio.timeout(60):
        await holds(client, workers, lease_of(workers, ONE))
    assert (await ledger(client, workers)).current == rev("a"), "it may have written"
    await WorkspaceRequests(client).release(wanted(workers, ONE, rev("a")))
    assert (await other.result()).outcome == "deployed"


async def test_a_revoked_key_gives_back_all_that_it_held(
    client: Client, workers: World, rev: Rev
) -> None:
    requests = WorkspaceRequests(client)
    path = wanted(workers, ONE, rev("a")).model_copy(
        update={"environment": names.lock_name("status/notes.md")}
    )
    await requests.acquire(path, wait_seconds=10)
    await take(client, workers, ONE, rev("a"))
    await take(client, workers, OTHER, rev("a"), wait=0.5)
    slug = workers.repository.slug
    told: set[str] = set()

    async def both() -> bool:
        # The server lists what runs a moment after it runs.
        told.update(await requests.release_all(slug, ONE))
        return len(told) == 2

    await until(both)
    await holds(client, workers, lease_of(workers, OTHER))
    assert told == {lease_of(workers, ONE), names.lease_id(slug, path.environment, ONE)}


async def test_a_lease_and_what_it_lent_outlive_their_worker(
    client: Client, world: World, rev: Rev
) -> None:
    world.slow.add(rev("a"))
    async with working(client, world):
        await take(client, world, ONE, rev("a"))
        mine = await under(client, world, rev("a"), ONE)
        await phase(mine, "health")
    world.slow.clear()
    async with working(client, world):
        assert (await mine.result()).outcome == "deployed"
        await holds(client, world, lease_of(world, ONE))
        assert (await take(client, world, ONE, rev("a"))).phase == "held"
