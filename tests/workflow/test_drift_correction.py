"""Drift that the policy wants put back: through the deployment path, and never for ever."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from pilothouse.models import names
from pilothouse.models.pipeline import Environment, IgnoreRule
from pilothouse.models.runs import DeploymentResult, MonitorRequest, MonitorResult
from tests.workflow.driving import deploy, environment_of, free, ledger
from tests.workflow.world import World, until

Rev = Callable[[str], str]
FIELD = "Deployment/app/model-api: /spec/paused"


async def look(client: Client, world: World, **fields: Any) -> MonitorResult:
    result: MonitorResult = await client.execute_workflow(
        names.MONITOR_WORKFLOW,
        MonitorRequest(repository=world.repository, environment="staging", **fields),
        id=names.monitor_id(world.repository.slug, "staging", uuid4().hex),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=MonitorResult,
    )
    return result


@pytest.fixture
def drifting(world: World) -> World:
    """Staging puts drift back."""
    staging = world.pipeline.environments["staging"]
    world.pipeline.environments["staging"] = staging.model_copy(update={"drift": "correct"})
    world.heads["refs/heads/main"] = "c" * 40
    return world


async def test_drift_is_put_back_as_it_was_deployed(
    client: Client, drifting: World, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("a"))
    before = (await free(client, workers)).releases
    workers.drifted = True
    seen = await look(client, workers)
    assert (seen.verdict, FIELD in seen.message) == ("degraded", True)
    result = await _corrected(client, workers, rev("a"))
    assert result.outcome == "deployed"
    first, second = workers.applied
    assert (second.plan, second.content, second.revision) == (
        first.plan,
        first.content,
        first.revision,
    )
    assert second.fencing > first.fencing
    state = await free(client, workers)
    (correction,) = state.corrections
    assert (correction.revision, correction.differences) == (rev("a"), (FIELD,))
    assert state.releases == before


async def test_a_correction_that_does_not_help_blames_and_reverts_nothing(
    client: Client, drifting: World, workers: World, rev: Rev
) -> None:
    for word in ("a", "b"):
        await deploy(client, workers, rev(word))
    before = await free(client, workers)
    workers.drifted = True
    workers.broken.add(rev("b"))
    await look(client, workers)
    result = await _corrected(client, workers, rev("b"))
    assert result.outcome == "failed"
    assert "was put back and does not work" in result.message
    after = await free(client, workers)
    assert (after.releases, after.hold, after.last_good) == (
        before.releases,
        None,
        before.last_good,
    )
    assert workers.published == []


async def test_drift_is_only_reported_where_the_policy_says_so(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.heads["refs/heads/main"] = "c" * 40
    await deploy(client, workers, rev("a"))
    workers.drifted = True
    await look(client, workers)
    state = await _observed(client, workers)
    assert (state.observation.drifted, state.observation.differences) == (1, (FIELD,))
    assert (state.corrections, len(workers.applied)) == ((), 1)


async def test_drift_is_not_put_back_during_a_hold(
    client: Client, drifting: World, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("a"))
    hold = {"by": "lead", "reason": "I am trying something"}
    await environment_of(client, workers).signal(names.SIGNAL_HOLD, hold)
    workers.drifted = True
    await look(client, workers)
    assert (await _observed(client, workers)).corrections == ()


async def test_a_look_takes_the_policy_that_it_was_given(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("a"))
    rule = IgnoreRule(kind="Deployment", pointers=("/spec/paused",))
    policy = Environment(namespace="elsewhere", ignore=(rule,))
    await look(client, workers, policy=policy)
    asked = workers.observed[-1]
    assert (asked.namespace, asked.ignore) == ("elsewhere", (rule,))


async def _corrected(client: Client, world: World, rev: str) -> DeploymentResult:
    """The end of the environment's correction; each of these tests has just one."""

    async def begun() -> bool:
        applied = [each.operation for each in world.applied]
        return applied.count(names.deployment_id(world.repository.slug, "staging", rev)) == 2

    await until(begun)
    handle = client.get_workflow_handle(
        names.deployment_id(world.repository.slug, "staging", rev), result_type=DeploymentResult
    )
    result: DeploymentResult = await handle.result()
    return result


async def _observed(client: Client, world: World) -> Any:
    async def seen() -> bool:
        return (await ledger(client, world)).observation is not None

    await until(seen)
    return await ledger(client, world)
