"""What people, and others, say to a deployment: what counts, what is refused, in whose words."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from pilothouse.models import names
from tests.workflow.driving import deploy, environment_of, ledger, phase, start
from tests.workflow.world import World, until

Rev = Callable[[str], str]


async def test_an_approval_for_the_plan_lets_it_go_on(
    client: Client, workers: World, rev: Rev
) -> None:
    handle = await start(client, workers, rev("a"), "production")
    await phase(handle, "approval")
    state = await handle.query(names.QUERY_STATE)
    plan = state["result"]["plan"]["digest"]
    await handle.signal(names.SIGNAL_APPROVE, {"by": "lead@example.org", "plan": plan})
    result = await handle.result()
    assert (result.outcome, result.decision.by) == ("deployed", "lead@example.org")


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"by": "lead", "plan": "0" * 64}, "but the plan is"),
        ({"by": "lead"}, "names no plan"),
        ({"plan": "x"}, "does not say who decides"),
        ({"by": "dev@example.org", "plan": "PLAN"}, "authors do not approve"),
        ({"by": 7, "plan": "PLAN"}, "by: Input should be a valid string"),
        ("nonsense", "expected a JSON object, got a string"),
        ([], "expected a JSON object, got a list"),
    ],
)
async def test_a_claim_that_cannot_count_is_refused_and_said(
    client: Client, workers: World, rev: Rev, claim: Any, said: str
) -> None:
    handle = await start(client, workers, rev("a"), "production")
    await phase(handle, "approval")
    plan = (await handle.query(names.QUERY_STATE))["result"]["plan"]["digest"]
    if isinstance(claim, dict):
        claim = {key: plan if value == "PLAN" else value for key, value in claim.items()}
    await handle.signal(names.SIGNAL_APPROVE, claim)

    async def noticed() -> bool:
        return any(said in n for n in (await handle.query(names.QUERY_STATE))["notices"])

    await until(noticed)
    assert (await handle.query(names.QUERY_STATE))["phase"] == "approval"
    await handle.signal(names.SIGNAL_REJECT, {"by": "lead", "plan": plan, "reason": "no"})
    assert (await handle.result()).outcome == "rejected"
    assert workers.applied == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "expected a JSON object, got null"),
        ([{"by": "lead"}, {"by": "lead"}], "expected a JSON object, got null"),
        ([b"approve"], "expected a JSON object"),
        ([None], "expected a JSON object, got null"),
    ],
)
async def test_a_signal_of_another_shape_is_refused_and_the_workflow_goes_on(
    client: Client, workers: World, rev: Rev, values: list[Any], said: str
) -> None:
    handle = await start(client, workers, rev("a"), "production")
    await phase(handle, "approval")
    await handle.signal(names.SIGNAL_APPROVE, args=values)
    await handle.signal(names.SIGNAL_LOCK_ANSWERED, args=values)

    async def noticed() -> bool:
        return any(said in n for n in (await handle.query(names.QUERY_STATE))["notices"])

    await until(noticed)
    await handle.signal(names.SIGNAL_SUPERSEDE, {"by": rev("b")})
    assert (await handle.result()).outcome == "superseded"


async def test_a_hold_without_a_word_is_refused_and_the_environment_goes_on(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("a"))
    environment = environment_of(client, workers)
    for signal in (names.SIGNAL_HOLD, names.SIGNAL_RELEASE_LOCK, names.SIGNAL_REQUEST_LOCK):
        await environment.signal(signal)

    async def noticed() -> bool:
        notices = (await ledger(client, workers)).notices
        return any("hold refused: expected a JSON object" in each for each in notices)

    await until(noticed)
    assert (await deploy(client, workers, rev("b"))).outcome == "deployed"


async def test_an_update_without_input_is_refused_and_the_workflow_goes_on(
    client: Client, workers: World, rev: Rev
) -> None:
    handle = await start(client, workers, rev("a"), "production")
    await phase(handle, "approval")
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(names.UPDATE_DECIDE)
    await handle.signal(names.SIGNAL_SUPERSEDE, {"by": rev("b")})
    assert (await handle.result()).outcome == "superseded"


async def test_an_update_that_cannot_count_is_answered_with_the_reason(
    client: Client, workers: World, rev: Rev
) -> None:
    handle = await start(client, workers, rev("a"), "production")
    await phase(handle, "approval")
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(names.UPDATE_DECIDE, {"approve": True, "by": "lead"})
    assert "names no plan" in str(refused.value.cause)
    await handle.cancel()


async def test_a_signal_nobody_knows_is_said_in_the_state(
    client: Client, workers: World, rev: Rev
) -> None:
    handle = await start(client, workers, rev("a"), "production")
    await handle.signal("aprove", {"by": "lead"})
    await phase(handle, "approval")
    notices = (await handle.query(names.QUERY_STATE))["notices"]
    assert notices == [
        "unknown signal 'aprove': this workflow understands approve, reject, supersede"
    ]
    await handle.signal(names.SIGNAL_SUPERSEDE, {"by": rev("b")})
    assert (await handle.result()).outcome == "superseded"


async def test_a_rejection_counts_until_the_first_write(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.writing = asyncio.Event()
    first = await start(client, workers, rev("a"), "production")
    await phase(first, "approval")
    plan = (await first.query(names.QUERY_STATE))["result"]["plan"]["digest"]
    await first.signal(names.SIGNAL_APPROVE, {"by": "lead", "plan": plan})
    await phase(first, "applying")
    second = await start(client, workers, rev("b"), "production")
    await phase(second, "approval")
    plan = (await second.query(names.QUERY_STATE))["result"]["plan"]["digest"]
    await second.signal(names.SIGNAL_APPROVE, {"by": "lead", "plan": plan})
    await phase(second, "lock")
    await second.signal(names.SIGNAL_REJECT, {"by": "boss", "plan": plan, "reason": "no"})
    assert (await second.result()).outcome == "rejected"
    workers.writing.set()
    assert (await first.result()).outcome == "deployed"


async def test_nothing_to_change_needs_no_approval(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.unchanged = True
    result = await deploy(client, workers, rev("a"), "production")
    assert result.outcome == "deployed"
