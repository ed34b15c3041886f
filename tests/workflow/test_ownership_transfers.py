"""An environment that was handed to a person: who approves there, and since when."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.client import Client
from typer.testing import CliRunner

from activities.ledgers import LedgerActivities
from pilothouse.cli.main import application
from pilothouse.clients.temporal.requests import WorkspaceRequests
from pilothouse.models import names
from pilothouse.models.environment import OwnershipClaim
from tests.workflow.driving import Handle, environment_of, ledger, phase, start
from tests.workflow.world import World, until

Rev = Callable[[str], str]
KEY = "k" + "1" * 12
ANN, BOB, LEAD = "ann@example.org", "bob@example.org", "lead@example.org"


@pytest.fixture
def world(client: Client, world: World) -> World:
    """One environment that asks a person; its real ledger is read."""
    production = world.pipeline.environments["production"].model_copy(update={"after": None})
    world.pipeline = world.pipeline.model_copy(update={"environments": {"production": production}})
    world.ledgers = LedgerActivities(client=client)
    return world


async def hand(client: Client, world: World, owner: str, by: str = KEY) -> str:
    claim = OwnershipClaim(owner=owner, by=by, reason="on call")
    state = await WorkspaceRequests(client).transfer(world.repository, "production", claim)
    assert state is not None
    return state.owner


async def asked(client: Client, world: World, rev: str) -> tuple[Handle, str]:
    """Begin a deployment and wait for its question; its plan."""
    handle = await start(client, world, rev, "production")
    await phase(handle, "approval")
    return handle, (await handle.query(names.QUERY_STATE))["result"]["plan"]["digest"]


async def approve(handle: Handle, plan: str, by: str) -> None:
    await handle.signal(names.SIGNAL_APPROVE, {"by": by, "plan": plan})


async def noticed(handle: Handle, text: str) -> None:
    async def look() -> bool:
        return any(text in each for each in (await handle.query(names.QUERY_STATE))["notices"])

    await until(look)


async def test_only_the_owner_approves_and_never_their_own_commit(
    client: Client, workers: World, rev: Rev
) -> None:
    assert await hand(client, workers, ANN) == ANN
    workers.authors[rev("b")] = ANN
    handle, plan = await asked(client, workers, rev("a"))
    await noticed(handle, f"{ANN} owns the environment: only they approve")
    await approve(handle, plan, LEAD)
    await noticed(handle, "alone approves there")
    await approve(handle, "0" * 64, ANN)
    await noticed(handle, "but the plan is")
    await approve(handle, plan, "Ann@example.org")
    assert (await handle.result()).outcome == "deployed"

    handle, plan = await asked(client, workers, rev("b"))
    await approve(handle, plan, ANN)
    await noticed(handle, "authors do not approve")
    # A no is nobody's privilege.
    await handle.signal(names.SIGNAL_REJECT, {"by": BOB, "plan": plan, "reason": "no"})
    assert (await handle.result()).outcome == "rejected"
    assert [each.revision for each in workers.applied] == [rev("a")]


async def test_an_owner_who_is_no_approver_of_the_file_cannot_approve(
    client: Client, workers: World, rev: Rev
) -> None:
    production = workers.pipeline.environments["production"]
    approval = production.approval.model_copy(update={"approvers": (LEAD,), "expires": "5s"})
    environments = {"production": production.model_copy(update={"approval": approval})}
    workers.pipeline = workers.pipeline.model_copy(update={"environments": environments})
    await hand(client, workers, ANN)
    handle, plan = await asked(client, workers, rev("a"))
    for who in (ANN, LEAD):
        await approve(handle, plan, who)
    await noticed(handle, "not among the environment's approvers")
    await noticed(handle, "alone approves there")
    assert (await handle.result()).outcome == "expired"


async def test_who_is_handed_it_while_the_question_stands_is_the_one_to_answer(
    client: Client, workers: World, rev: Rev
) -> None:
    handle, plan = await asked(client, workers, rev("a"))
    await hand(client, workers, ANN)
    await approve(handle, plan, LEAD)
    await noticed(handle, f"the approval by {LEAD} does not count")
    await approve(handle, plan, ANN)
    result = await handle.result()
    assert (result.outcome, result.decision.by) == ("deployed", ANN)


async def test_an_approval_from_before_counts_no_more_once_the_lock_is_had(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.writing = asyncio.Event()
    first, plan = await asked(client, workers, rev("a"))
    await approve(first, plan, LEAD)
    await phase(first, "applying")
    second, plan = await asked(client, workers, rev("b"))
    await approve(second, plan, LEAD)
    await phase(second, "lock")
    await hand(client, workers, ANN)
    workers.writing.set()
    assert (await first.result()).outcome == "deployed"
    result = await second.result()
    assert (result.outcome, ANN in result.message) == ("blocked", True)
    assert [each.revision for each in workers.applied] == [rev("a")]


async def test_it_is_handed_back_by_people_and_the_files_approvers_decide_again(
    client: Client, workers: World, rev: Rev
) -> None:
    await hand(client, workers, ANN)
    assert await hand(client, workers, BOB) == ANN, "a key does not take it from a person"
    assert await hand(client, workers, "", by=LEAD) == ""
    handle, plan = await asked(client, workers, rev("a"))
    await approve(handle, plan, LEAD)
    assert (await handle.result()).outcome == "deployed"


@pytest.mark.parametrize("values", [[], [None], ["ann"], [{"owner": ANN}, {"owner": BOB}]])
async def test_a_claim_of_another_shape_is_refused_and_the_environment_goes_on(
    client: Client, workers: World, values: list[Any]
) -> None:
    await hand(client, workers, ANN)
    entity = environment_of(client, workers, "production")
    await entity.signal(names.SIGNAL_TRANSFER_OWNERSHIP, args=values)
    state = await ledger(client, workers, "production")
    assert (state.owner, "was not understood" in state.notices[-1]) == (ANN, True)
    assert await hand(client, workers, BOB, by=LEAD) == BOB


async def test_the_command_shows_hands_over_and_hands_back(
    client: Client, workers: World, rev: Rev, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", client.service_client.config.target_host)
    change = ("--by", LEAD, "--reason", "on call")

    async def command(*words: str) -> tuple[int, str]:
        line = ["owner", workers.repository.url, "production", *words]
        ended = await asyncio.to_thread(CliRunner().invoke, application("owner"), line)
        return ended.exit_code, ended.output

    code, said = await command("--to", ANN, *change)
    assert (code, f"{ANN} alone approves in production" in said) == (0, True)
    assert "nothing was ever deployed to production" in said
    code, said = await command("--output", "json")
    assert (code, json.loads(said)["reason"]) == (0, "on call")
    code, said = await command("--to", "nobody in particular", *change)
    assert (code, "no e-mail address" in said) == (1, True)
    code, said = await command("--nobody", *change)
    assert (code, said) == (
        0,
        "production is nobody's: whom the pipeline file lets approves there\n",
    )
    assert (await ledger(client, workers, "production")).ownership is None
