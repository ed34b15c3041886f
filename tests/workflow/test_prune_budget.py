"""A plan that deletes much is a person's to decide, whatever the environment says of approvals."""

from collections.abc import Callable

import pytest
from temporalio.client import Client

from pilothouse.models import names
from tests.workflow.driving import bad_push, deploy, free, phase, start
from tests.workflow.world import World

Rev = Callable[[str], str]


def budget(world: World, environment: str, **policy: object) -> None:
    declared = world.pipeline.environments[environment]
    world.pipeline.environments[environment] = declared.model_copy(update=policy)


async def test_a_plan_within_the_budget_asks_nobody_and_may_delete_no_more(
    client: Client, workers: World, rev: Rev
) -> None:
    budget(workers, "staging", prune_budget=4)
    workers.deletes = 3
    assert (await deploy(client, workers, rev("a"))).outcome == "deployed"
    assert workers.applied[0].max_deletes == 4


async def test_above_the_budget_a_person_is_asked_and_agrees_to_just_so_many(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.deletes = 11
    handle = await start(client, workers, rev("a"))
    await phase(handle, "approval")
    state = await handle.query(names.QUERY_STATE)
    assert "deletes 11 objects, and prune_budget is 10" in state["notices"][0]
    plan = state["result"]["plan"]["digest"]
    await handle.signal(names.SIGNAL_APPROVE, {"by": "lead", "plan": plan})
    assert (await handle.result()).outcome == "deployed"
    assert workers.applied[0].max_deletes == 11


@pytest.mark.parametrize("deletes", [0, 2])
async def test_an_approval_covers_the_deletes_that_were_shown(
    client: Client, workers: World, rev: Rev, deletes: int
) -> None:
    workers.deletes = deletes
    handle = await start(client, workers, rev("a"), "production")
    await phase(handle, "approval")
    plan = (await handle.query(names.QUERY_STATE))["result"]["plan"]["digest"]
    await handle.signal(names.SIGNAL_APPROVE, {"by": "lead", "plan": plan})
    await handle.result()
    assert workers.applied[0].max_deletes == deletes


async def test_a_rollback_above_the_budget_is_left_to_a_person(
    client: Client, workers: World, rev: Rev
) -> None:
    budget(workers, "staging", prune_budget=0)
    await deploy(client, workers, rev("good"))
    workers.deletes = 0
    workers.broken.add(rev("bad"))
    workers.heads["refs/heads/main"] = rev("bad")
    failing = await start(client, workers, rev("bad"))
    workers.slow.add(rev("bad"))
    await phase(failing, "health")
    workers.deletes = 5  # what the bad revision brought along
    workers.slow.clear()
    result = await failing.result()
    assert result.outcome == "failed"
    assert "deletes 5 objects, and prune_budget is 0" in result.message
    assert len(workers.applied) == 2
    hold = (await free(client, workers)).hold
    assert (hold.kind, "a person must decide" in hold.reason) == ("frozen", True)


async def test_the_policy_of_the_environment_reaches_the_cluster(
    client: Client, workers: World, rev: Rev
) -> None:
    budget(workers, "staging", recreate=True, prune=False)
    await bad_push(client, workers, rev("a"))
    plan, apply = workers.planned[0], workers.applied[0]
    assert (plan.recreate, plan.prune) == (apply.recreate, apply.prune) == (True, False)
