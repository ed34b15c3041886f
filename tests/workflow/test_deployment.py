"""DeploymentWorkflow, EnvironmentWorkflow and RollbackWorkflow on a real server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError

from pilothouse.models import names
from pilothouse.models.environment import EnvironmentState
from pilothouse.models.findings import Finding
from pilothouse.models.runs import (
    DeploymentRequest,
    DeploymentResult,
    RollbackRequest,
    RollbackResult,
)
from tests.workflow.world import World

Handle = WorkflowHandle[Any, Any]
Rev = Callable[[str], str]
PATIENCE = 30


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Wait, bounded, until something is true."""
    async with asyncio.timeout(PATIENCE):
        while not await look():
            await asyncio.sleep(0.05)


async def start(client: Client, world: World, rev: str, environment: str = "staging") -> Handle:
    request = DeploymentRequest(repository=world.repository, revision=rev, environment=environment)
    return await client.start_workflow(
        names.DEPLOYMENT_WORKFLOW,
        request,
        id=names.deployment_id(world.repository.slug, environment, rev),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=DeploymentResult,
    )


async def deploy(client: Client, world: World, rev: str, env: str = "staging") -> Any:
    return await (await start(client, world, rev, env)).result()


def environment_of(client: Client, world: World, environment: str = "staging") -> Handle:
    return client.get_workflow_handle(names.environment_id(world.repository.slug, environment))


async def ledger(client: Client, world: World, environment: str = "staging") -> Any:
    return await environment_of(client, world, environment).query(
        names.QUERY_STATE, result_type=EnvironmentState
    )


async def phase(handle: Handle, wanted: str) -> None:
    async def look() -> bool:
        return bool((await handle.query(names.QUERY_STATE))["phase"] == wanted)

    await until(look)


async def free(client: Client, world: World) -> Any:
    async def look() -> bool:
        return (await ledger(client, world)).holder is None

    await until(look)
    return await ledger(client, world)


async def test_a_good_revision_is_deployed_and_remembered(
    client: Client, workers: World, rev: Rev
) -> None:
    result = await deploy(client, workers, rev("a"))
    assert result.outcome == "deployed"
    assert workers.applied[0].fencing == 1
    assert workers.applied[0].plan == result.plan.digest
    state = await free(client, workers)
    assert state.last_good.revision == rev("a")


async def test_what_differs_right_after_it_was_applied_is_said(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.drifted = True
    result = await deploy(client, workers, rev("a"))
    assert result.outcome == "deployed"
    assert "differs already: Deployment/app/model-api" in result.message


async def test_errors_in_validation_end_it_before_any_write(
    client: Client, workers: World, rev: Rev
) -> None:
    finding = Finding(rule="schema", severity="error", file="a.yaml", line=3, message="bad")
    workers.findings[rev("a")] = [finding]
    result = await deploy(client, workers, rev("a"))
    assert result.outcome == "blocked"
    assert "a.yaml:3" in result.report
    assert workers.applied == []


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


async def test_a_broken_revision_is_rolled_back_through_git_and_held(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("good"))
    workers.heads["refs/heads/main"] = rev("bad")
    workers.broken.add(rev("bad"))
    result = await deploy(client, workers, rev("bad"))
    assert result.outcome == "rolled_back"
    assert result.diagnosis.cause == "crash_loop"
    commit = workers.published[0].commit
    assert (commit.kind, commit.bad, commit.good) == ("revert", rev("bad"), rev("good"))
    head = workers.heads["refs/heads/main"]
    assert workers.applied[-1].revision == head
    assert workers.applied[-1].plan == workers.applied[0].plan
    state = await free(client, workers)
    assert state.hold.kind == "rollback"
    assert "restarted 3 times" in state.hold.reason
    assert state.last_good.revision == head


async def test_a_known_bad_revision_is_refused_until_a_person_resumes(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("good"))
    workers.heads["refs/heads/main"] = rev("bad")
    workers.broken.add(rev("bad"))
    await deploy(client, workers, rev("bad"))
    again = await deploy(client, workers, rev("bad"))
    assert again.outcome == "on_hold"
    assert "known to be bad" in again.message
    await environment_of(client, workers).signal(
        names.SIGNAL_RESUME, {"by": "lead", "reason": "the registry is back"}
    )
    workers.broken.clear()
    assert (await deploy(client, workers, rev("bad"))).outcome == "deployed"


async def test_a_newer_good_revision_lifts_a_rollbacks_hold(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("good"))
    workers.heads["refs/heads/main"] = rev("bad")
    workers.broken.add(rev("bad"))
    await deploy(client, workers, rev("bad"))
    assert (await deploy(client, workers, rev("fix"))).outcome == "deployed"
    assert (await free(client, workers)).hold is None


async def test_without_anything_good_before_it_holds_and_says_so(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.broken.add(rev("bad"))
    result = await deploy(client, workers, rev("bad"))
    assert result.outcome == "failed"
    assert "nothing was good here before" in result.message
    assert (await free(client, workers)).hold.bad_revision == rev("bad")
    assert workers.published == []


async def test_a_rollback_that_does_not_work_freezes_the_environment(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("good"))
    workers.heads["refs/heads/main"] = rev("bad")
    workers.broken |= {rev("bad"), rev("good")}
    result = await deploy(client, workers, rev("bad"))
    assert result.outcome == "failed"
    state = await free(client, workers)
    assert state.hold.kind == "frozen"
    assert len([c for c in workers.published if c.commit.kind == "revert"]) == 1


async def test_a_person_can_roll_back_what_passed_every_check(
    client: Client, workers: World, rev: Rev
) -> None:
    for word in ("one", "two", "three"):
        await deploy(client, workers, rev(word))
    workers.heads["refs/heads/main"] = rev("three")
    result = await client.execute_workflow(
        names.ROLLBACK_WORKFLOW,
        RollbackRequest(
            repository=workers.repository,
            environment="staging",
            reason="latency doubled",
            requested_by="lead",
        ),
        id=names.rollback_id(workers.repository.slug, "staging", "manual"),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=RollbackResult,
    )
    assert (result.outcome, result.to_revision) == ("rolled_back", rev("two"))
    assert workers.applied[-1].plan == workers.applied[1].plan
    state = await free(client, workers)
    assert {r.revision for r in state.releases if r.outcome == "bad"} == {rev("three")}
    assert state.hold.reason.endswith("latency doubled")


async def test_a_rollback_leaves_a_newer_head_alone(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("good"))
    workers.heads["refs/heads/main"] = rev("fix")
    workers.broken.add(rev("bad"))
    result = await deploy(client, workers, rev("bad"))
    assert result.outcome == "rolled_back"
    assert "main has moved on" in result.message
    assert workers.published == []
    assert workers.applied[-1].revision == rev("good")
    assert (await deploy(client, workers, rev("fix"))).outcome == "deployed"
    assert (await free(client, workers)).hold is None


async def test_a_rollback_by_hand_takes_the_earlier_environments_along(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.unchanged = True
    for word in ("one", "two"):
        await deploy(client, workers, rev(word))
        await deploy(client, workers, rev(word), "production")
    await deploy(client, workers, rev("three"))
    workers.heads["refs/heads/main"] = rev("three")
    result = await client.execute_workflow(
        names.ROLLBACK_WORKFLOW,
        RollbackRequest(repository=workers.repository, environment="production", reason="slow"),
        id=names.rollback_id(workers.repository.slug, "production", "manual"),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=RollbackResult,
    )
    assert (result.outcome, result.bad_revision) == ("rolled_back", rev("two"))
    assert result.to_revision == rev("one")
    assert result.message.endswith("staging: deployed")
    revert = workers.heads["refs/heads/main"]
    assert (await ledger(client, workers, "staging")).last_good.revision == revert


async def test_a_lost_history_goes_on_above_the_clusters_fencing_number(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.fencing = 41
    await deploy(client, workers, rev("a"))
    assert workers.applied[0].fencing == 42


async def test_nobody_skips_the_approval_by_calling_it_a_rollback(
    client: Client, workers: World, rev: Rev
) -> None:
    request = DeploymentRequest(
        repository=workers.repository, revision=rev("a"), environment="production", rollback=True
    )
    result = await client.execute_workflow(
        names.DEPLOYMENT_WORKFLOW,
        request,
        id=names.deployment_id(workers.repository.slug, "production", rev("a")),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=DeploymentResult,
    )
    assert result.outcome == "blocked"
    assert workers.applied == []


async def test_a_rollback_goes_only_to_what_was_healthy_here(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("good"))
    workers.heads["refs/heads/main"] = rev("good")
    result = await client.execute_workflow(
        names.ROLLBACK_WORKFLOW,
        RollbackRequest(
            repository=workers.repository, environment="staging", to_revision=rev("never")
        ),
        id=names.rollback_id(workers.repository.slug, "staging", "manual"),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=RollbackResult,
    )
    assert result.outcome == "nothing_good"
    assert "not among the last that were healthy here" in result.message
    assert len(workers.applied) == 1
    state = await free(client, workers)
    assert (state.hold, state.last_good.revision) == (None, rev("good"))


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


async def test_an_unknown_environment_is_said_with_those_that_exist(
    client: Client, workers: World, rev: Rev
) -> None:
    result = await deploy(client, workers, rev("a"), "stagging")
    assert result.outcome == "blocked"
    assert "'stagging' (it has: staging, production)" in result.message


async def test_an_unknown_revision_ends_with_gits_words(
    client: Client, workers: World, rev: Rev
) -> None:
    result = await deploy(client, workers, rev("unknown"))
    assert (result.outcome, result.message) == ("failed", "the repository has no such revision")
