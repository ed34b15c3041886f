"""Stages of agents outside: what ends them, what does not, and what silence counts as."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import pytest
from temporalio.client import Client, WorkflowHandle

from pilothouse.models import names
from pilothouse.models.pipeline import Agent, Budget, Environment, Pipeline
from pilothouse.models.runs import PipelineRequest, PipelineResult, StageReport
from tests.workflow.driving import phase
from tests.workflow.world import World, until, working

Rev = Callable[[str], str]
KEY = "k" + "1" * 12
OnError = Literal["rules", "human", "fail"]


def outside(time: str = "5m", on_error: OnError = "rules") -> Agent:
    return Agent(
        trigger="webhook.pull_request",
        role="external",
        budget=Budget(time=time),
        on_error=on_error,
    )


@pytest.fixture
def world(world: World) -> World:
    """Somebody outside validates; then it is deployed to one environment that asks nobody."""
    agents = {"validator": outside(), "deployer": Agent(trigger="status.validated")}
    world.pipeline = Pipeline(agents=agents, environments={"staging": Environment(namespace="app")})
    return world


def validates(world: World, agent: Agent) -> None:
    agents = {**world.pipeline.agents, "validator": agent}
    world.pipeline = world.pipeline.model_copy(update={"agents": agents})


async def begin(
    client: Client, world: World, rev: str, **more: Any
) -> WorkflowHandle[Any, PipelineResult]:
    return await client.start_workflow(
        names.PIPELINE_WORKFLOW,
        PipelineRequest(repository=world.repository, revision=rev),
        id=names.pipeline_id(world.repository.slug, "manual", rev),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=PipelineResult,
        **more,
    )


async def awaiting(handle: WorkflowHandle[Any, Any]) -> str:
    """Wait until the run waits for somebody outside; what it says about that."""

    async def look() -> bool:
        return bool((await handle.query(names.QUERY_STATE))["awaited"])

    await until(look)
    return str((await handle.query(names.QUERY_STATE))["awaited"])


async def notices(handle: WorkflowHandle[Any, Any]) -> str:
    return "; ".join((await handle.query(names.QUERY_STATE))["notices"])


def said(event: str, rev: str, **more: str) -> dict[str, str]:
    return {"event": event, "by": KEY, "revision": rev, "status_commit": "c" * 40, **more}


def stage(result: PipelineResult, agent: str) -> StageReport:
    return next(each for each in result.stages if each.agent == agent)


@pytest.mark.parametrize(
    ("event", "outcome", "whole", "deployed"),
    [("validated", "passed", "succeeded", 1), ("rejected", "failed", "failed", 0)],
)
async def test_the_word_of_somebody_outside_ends_the_stage(
    client: Client, workers: World, rev: Rev, event: str, outcome: str, whole: str, deployed: int
) -> None:
    handle = await begin(client, workers, rev("a"))
    told = await awaiting(handle)
    assert "`emit:validated` or `emit:rejected`" in told
    assert "5m" in told
    await handle.signal(names.SIGNAL_EMIT, said(event, rev("a")))
    result = await handle.result()
    report = stage(result, "validator")
    assert (report.outcome, report.event) == (outcome, f"status.{event}")
    assert (result.outcome, len(workers.applied)) == (whole, deployed)
    assert f"{KEY} said {event}, in {'c' * 12}" in report.summary


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ({"event": "validated", "by": KEY, "revision": "b" * 40}, "it is about bbbbbbbbbbbb, not"),
        ({"event": "validated", "by": KEY}, "it is about nothing"),
        ({"event": "validated", "revision": "REV"}, 'it needs "event", "by" and "revision"'),
        ({"event": "deployed", "by": KEY, "revision": "REV"}, "no external agent"),
        ({"event": "tests_passed", "by": KEY, "revision": "REV"}, "no external agent"),
        ({"event": 7, "by": KEY, "revision": "REV"}, "event: Input should be a valid string"),
        ("validated", "expected a JSON object, got a string"),
        (None, "expected a JSON object, got null"),
    ],
)
async def test_a_word_that_cannot_count_is_refused_where_people_look(
    client: Client, workers: World, rev: Rev, claim: Any, why: str
) -> None:
    handle = await begin(client, workers, rev("a"))
    await awaiting(handle)
    if isinstance(claim, dict):
        claim = {key: rev("a") if value == "REV" else value for key, value in claim.items()}
    await handle.signal(names.SIGNAL_EMIT, claim)
    assert why in await notices(handle)
    assert workers.applied == []
    await handle.signal(names.SIGNAL_EMIT, said("rejected", rev("a")))
    result = await handle.result()
    assert stage(result, "validator").event == "status.rejected"
    assert "refused" in result.report


async def test_the_first_word_counts_and_its_repetition_is_no_second_one(
    client: Client, workers: World, rev: Rev
) -> None:
    agents = {
        "tester": Agent(trigger="webhook.pull_request", commands=("true",)),
        "reviewer": outside().model_copy(
            update={"trigger": "status.tests_passed", "emits": ("accepted", "refused")}
        ),
    }
    workers.pipeline = workers.pipeline.model_copy(update={"agents": agents})
    # Said with the start, before the pipeline file is read, and long before the agent's turn.
    first = said("accepted", rev("a"))
    handle = await begin(
        client, workers, rev("a"), start_signal=names.SIGNAL_EMIT, start_signal_args=[first]
    )
    await handle.signal(names.SIGNAL_EMIT, first)
    await handle.signal(names.SIGNAL_EMIT, said("refused", rev("a")))
    result = await handle.result()
    report = stage(result, "reviewer")
    assert (report.outcome, report.event) == ("passed", "status.accepted")
    told = await notices(handle)
    assert told.count("refused: ") == 1
    assert "refused by" in told and "reviewer has ended, or an event for it came before" in told


async def test_a_word_reaches_a_run_whose_worker_is_down(
    client: Client, world: World, rev: Rev
) -> None:
    async with working(client, world):
        handle = await begin(client, world, rev("a"))
        await awaiting(handle)
    await handle.signal(names.SIGNAL_EMIT, said("validated", rev("a")))
    async with working(client, world):
        assert (await handle.result()).outcome == "succeeded"


async def test_many_early_words_are_kept_up_to_a_bound(
    client: Client, world: World, rev: Rev
) -> None:
    handle = await begin(client, world, rev("a"))
    for number in range(25):
        await handle.signal(names.SIGNAL_EMIT, said("validated", rev("a"), by=f"k{number:012x}"))
    async with working(client, world):
        result = await handle.result()
        assert stage(result, "validator").summary.startswith("k000000000000 said validated")
        # All signals came with the first task: five too many, and the last twenty are kept.
        assert len((await handle.query(names.QUERY_STATE))["notices"]) == 20


# -- silence --------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_error", ["rules", "fail"])
async def test_silence_fails_the_stage(
    client: Client, workers: World, rev: Rev, on_error: OnError
) -> None:
    validates(workers, outside("1s", on_error))
    handle = await begin(client, workers, rev("a"))
    result = await handle.result()
    report = stage(result, "validator")
    assert (report.outcome, report.event) == ("failed", "status.rejected")
    assert report.summary == "nobody outside ended the stage within 1s"
    assert (result.outcome, workers.applied) == ("failed", [])


async def test_silence_asks_a_person_if_the_file_says_so(
    client: Client, workers: World, rev: Rev
) -> None:
    validates(workers, outside("1s", "human"))
    handle = await begin(client, workers, rev("a"))
    deployment = client.get_workflow_handle(
        names.deployment_id(workers.repository.slug, "staging", rev("a"))
    )

    async def asked() -> bool:
        query = f"WorkflowId = '{deployment.id}'"
        return bool([each async for each in client.list_workflows(query)])

    await until(asked)
    await phase(deployment, "approval")
    state = await deployment.query(names.QUERY_STATE)
    assert "validator: nobody outside ended the stage within 1s" in "; ".join(state["notices"])
    assert workers.applied == []
    plan = state["result"]["plan"]["digest"]
    await deployment.signal(names.SIGNAL_APPROVE, {"by": "lead@example.org", "plan": plan})
    result = await handle.result()
    assert (stage(result, "validator").outcome, result.outcome) == ("skipped", "succeeded")


async def test_a_newer_revision_ends_the_wait_at_once(
    client: Client, workers: World, rev: Rev
) -> None:
    handle = await begin(client, workers, rev("a"))
    await awaiting(handle)
    await handle.signal(names.SIGNAL_SUPERSEDE, {"by": rev("b")})
    async with asyncio.timeout(10):
        result = await handle.result()
    assert result.outcome == "superseded"
    assert stage(result, "validator").outcome == "superseded"
    assert workers.applied == []
