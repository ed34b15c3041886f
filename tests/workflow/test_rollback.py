"""Rollbacks and the holds after them, on a real server."""

from collections.abc import Callable

from temporalio.client import Client

from pilothouse.models import names
from pilothouse.models.runs import (
    DeploymentRequest,
    DeploymentResult,
    RollbackRequest,
    RollbackResult,
)
from tests.workflow.driving import deploy, environment_of, free, ledger
from tests.workflow.world import World

Rev = Callable[[str], str]


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
    plans = {each.revision: each.plan for each in workers.applied[:-1]}
    assert workers.applied[-1].plan == plans[rev("two")]
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
