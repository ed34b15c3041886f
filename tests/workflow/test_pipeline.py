"""RepositoryWorkflow and PipelineWorkflow on a real server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from pilothouse.models import names
from pilothouse.models.findings import Finding
from pilothouse.models.pipeline import Agent
from pilothouse.models.runs import (
    PipelineRequest,
    PipelineResult,
    RepositoryRequest,
    RepositoryState,
)
from tests.workflow.world import World

Handle = WorkflowHandle[Any, Any]
Rev = Callable[[str], str]
MAIN = "refs/heads/main"


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await look():
            await asyncio.sleep(0.05)


async def run(client: Client, world: World, rev: str, event: str = "manual") -> Any:
    request = PipelineRequest(repository=world.repository, revision=rev, event=event)
    return await client.execute_workflow(
        names.PIPELINE_WORKFLOW,
        request,
        id=names.pipeline_id(world.repository.slug, event, rev),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=PipelineResult,
    )


async def event(client: Client, world: World, **fields: Any) -> Handle:
    return await client.start_workflow(
        names.REPOSITORY_WORKFLOW,
        RepositoryRequest(repository=world.repository),
        id=names.repository_id(world.repository.slug),
        task_queue=names.WORKFLOW_QUEUE,
        start_signal=names.SIGNAL_REPOSITORY_EVENT,
        start_signal_args=[{"kind": "push", "ref": MAIN, **fields}],
    )


async def state(handle: Handle) -> Any:
    return await handle.query(names.QUERY_STATE, result_type=RepositoryState)


async def ended(client: Client, world: World, rev: str, kind: str = "push") -> Any:
    """The result of a run that may not have been started yet."""
    handle = client.get_workflow_handle(
        names.pipeline_id(world.repository.slug, kind, rev), result_type=PipelineResult
    )
    await until(lambda: exists(handle))
    return await handle.result()


async def exists(handle: Handle) -> bool:
    try:
        await handle.describe()
    except RPCError as error:
        assert error.status is RPCStatusCode.NOT_FOUND
        return False
    return True


async def finished(handle: Handle, count: int) -> Any:
    async def look() -> bool:
        runs = (await state(handle)).runs
        return len(runs) == count and all(run.outcome != "running" for run in runs)

    await until(look)
    return await state(handle)


async def approve(client: Client, world: World, rev: str) -> None:
    handle = client.get_workflow_handle(
        names.deployment_id(world.repository.slug, "production", rev)
    )
    plan = ""

    async def asked() -> bool:
        nonlocal plan
        if not await exists(handle):
            return False
        seen = await handle.query(names.QUERY_STATE)
        plan = (seen["result"]["plan"] or {}).get("digest", "")
        return bool(seen["phase"] == "approval")

    await until(asked)
    await handle.signal(names.SIGNAL_APPROVE, {"by": "lead@example.org", "plan": plan})


async def test_a_push_goes_through_every_stage_to_production(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.heads[MAIN] = rev("a")
    repository = await event(client, workers)
    await approve(client, workers, rev("a"))
    result = await ended(client, workers, rev("a"))
    assert result.outcome == "succeeded"
    assert [(s.agent, s.environment, s.outcome) for s in result.stages] == [
        ("validator", "", "passed"),
        ("tester", "", "passed"),
        ("deployer", "staging", "passed"),
        ("deployer", "production", "passed"),
        ("monitor", "staging", "passed"),
        ("monitor", "production", "passed"),
    ]
    assert {s.environment for s in workers.schedules} == {"staging", "production"}
    assert [c.commit.branch for c in workers.published] == ["pilothouse/status"]
    assert "status/environments/staging.json" in workers.published[0].commit.files
    assert (await finished(repository, 1)).runs[0].outcome == "succeeded"


async def test_a_pull_request_is_validated_and_never_touches_the_cluster(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.heads |= {MAIN: rev("base"), "refs/pull/7/head": rev("a")}
    workers.findings[rev("a")] = [
        Finding(rule="schema", severity="error", file="manifests/a.yaml", line=4, message="wrong")
    ]
    await event(client, workers, kind="pull_request", ref="refs/pull/7/head", number=7)
    result = await ended(client, workers, rev("a"), "pull-7")
    assert result.outcome == "blocked"
    assert not {"plan_deployment", "apply_plan", "run_tests"} & set(workers.calls)
    # Neither can a pull request change the policies that it is judged by.
    assert {each.snapshot.revision for each in workers.rendered} == {rev("a")}
    assert {p.revision for each in workers.rendered if (p := each.policies_from)} == {rev("base")}


async def test_a_passing_pull_request_runs_no_code_and_deploys_nothing(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.heads[MAIN] = rev("base")
    result = await run(client, workers, rev("a"), "pull-7")
    assert [(s.agent, s.outcome) for s in result.stages] == [
        ("validator", "passed"),
        ("tester", "skipped"),
    ]
    assert not {"plan_deployment", "apply_plan", "run_tests"} & set(workers.calls)


async def test_the_same_commit_twice_starts_one_run(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.tests_pass = False
    workers.heads[MAIN] = rev("a")
    repository = await event(client, workers, delivery="1")
    await event(client, workers, delivery="1")
    await event(client, workers, delivery="2")

    async def quiet() -> bool:
        seen = await state(repository)
        return not seen.pending and len(seen.deliveries) == 2

    await until(quiet)
    assert len((await finished(repository, 1)).runs) == 1


async def test_failing_tests_stop_the_run_before_any_deployment(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.tests_pass = False
    result = await run(client, workers, rev("a"))
    assert result.outcome == "failed"
    assert "`true` failed: exit 1" in result.stages[-1].summary
    assert workers.applied == []


async def test_a_newer_push_supersedes_a_run_that_waits_for_a_person(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.heads[MAIN] = rev("a")
    repository = await event(client, workers)
    waiting = client.get_workflow_handle(
        names.deployment_id(workers.repository.slug, "production", rev("a"))
    )

    async def asked() -> bool:
        if not await exists(waiting):
            return False
        return bool((await waiting.query(names.QUERY_STATE))["phase"] == "approval")

    await until(asked)
    workers.heads[MAIN] = rev("b")
    await event(client, workers, delivery="2")
    assert (await ended(client, workers, rev("a"))).outcome == "superseded"
    await approve(client, workers, rev("b"))
    assert (await ended(client, workers, rev("b"))).outcome == "succeeded"
    assert {run.outcome for run in (await finished(repository, 2)).runs} == {
        "superseded",
        "succeeded",
    }


async def test_a_rollback_reverts_git_and_the_revert_starts_no_run(
    client: Client, workers: World, rev: Rev
) -> None:
    del workers.pipeline.environments["production"]
    workers.heads[MAIN] = rev("good")
    repository = await event(client, workers)
    assert (await ended(client, workers, rev("good"))).outcome == "succeeded"
    workers.broken.add(rev("bad"))
    workers.heads[MAIN] = rev("bad")
    await event(client, workers, delivery="2")
    await finished(repository, 2)
    result = await ended(client, workers, rev("bad"))
    assert result.outcome == "rolled_back"
    revert = workers.heads[MAIN]
    assert revert not in {rev("good"), rev("bad")}
    await event(client, workers, delivery="3")

    async def seen() -> bool:
        return bool((await state(repository)).heads.get(MAIN) == revert)

    await until(seen)
    assert len((await state(repository)).runs) == 2


async def test_an_unreachable_repository_is_said_and_tried_again(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.unreachable = True
    workers.heads[MAIN] = rev("a")
    repository = await event(client, workers)
    assert len((await state(repository)).pending) == 1
    await repository.terminate("seen enough")


async def test_a_pipeline_file_with_errors_blocks_with_its_findings(
    client: Client, workers: World, rev: Rev
) -> None:
    finding = Finding(
        rule="pipeline-file",
        severity="error",
        file="pipeline.yaml",
        line=4,
        message="unknown key 'triger'",
        fix="did you mean 'trigger'?",
    )
    workers.pipeline_findings = (finding,)
    result = await run(client, workers, rev("a"))
    assert result.outcome == "blocked"
    assert "pipeline.yaml:4" in result.report
    recorded = workers.published[0].commit.files[f"status/runs/manual-{rev('a')[:12]}.json"]
    assert "did you mean" in recorded


async def test_the_status_commit_is_made_anew_when_the_branch_moves(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.tests_pass = False
    workers.branch_moves = 3
    result = await run(client, workers, rev("a"))
    assert result.status_commit == workers.published[0].proposed.revision
    assert workers.calls.count("publish_commit") == 4


async def test_a_fifth_agent_is_added_by_configuration_only(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.pipeline.agents["licence"] = Agent(trigger="status.validated")
    workers.tests_pass = False
    result = await run(client, workers, rev("a"))
    assert ("licence", "skipped") in {(s.agent, s.outcome) for s in result.stages}


async def test_an_unknown_revision_ends_as_an_error_with_gits_words(
    client: Client, workers: World, rev: Rev
) -> None:
    result = await run(client, workers, rev("unknown"))
    assert (result.outcome, result.message) == ("error", "the repository has no such revision")


async def test_a_rollback_is_said_and_recorded_though_a_newer_push_came_meanwhile(
    client: Client, workers: World, rev: Rev
) -> None:
    del workers.pipeline.environments["production"]
    workers.heads[MAIN] = rev("good")
    repository = await event(client, workers)
    await ended(client, workers, rev("good"))
    workers.broken.add(rev("bad"))
    workers.slow.add(rev("good"))  # what the rollback waits for
    workers.heads[MAIN] = rev("bad")
    await event(client, workers, delivery="2")

    async def reverted() -> bool:
        return workers.heads[MAIN] != rev("bad")

    await until(reverted)
    workers.heads[MAIN] = rev("fix")
    await event(client, workers, delivery="3")

    async def seen() -> bool:
        return len((await state(repository)).runs) == 3

    await until(seen)
    workers.slow.clear()
    result = await ended(client, workers, rev("bad"))
    assert result.outcome == "rolled_back"
    assert result.status_commit
    assert (await ended(client, workers, rev("fix"))).outcome == "succeeded"
