"""Records the histories that the replay test replays.

Run by hand, from the repository's root, when a change of workflow code is meant to break replay:

    .venv/bin/python -m tests.replay.record            # all
    .venv/bin/python -m tests.replay.record NAME ...   # only these, e.g. deployment-approved

Each scenario runs on a dev server with real workflows and the scripted activities of
`tests.workflow.world`, and writes `histories/<workflow>-<path>.json`. A history that does not show
what its name says (`tests.replay.shown`) is not written. Once a version was released, keep its
histories beside the new ones: runs that it started go on under newer code.
"""

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from pilothouse.models import names
from pilothouse.models.environment import EnvironmentState
from pilothouse.models.findings import Finding
from pilothouse.models.runs import (
    DeploymentRequest,
    MonitorRequest,
    PipelineRequest,
    RepositoryRequest,
    RepositoryState,
    RollbackRequest,
)
from tests.replay.agent_scenarios import AGENT_SCENARIOS
from tests.replay.shown import HISTORIES, SHOWN, disagreements
from tests.workflow.world import World, dev_server, revision, two_environments, until, working

Handle = WorkflowHandle[Any, Any]
Scenario = Callable[[Client, World], Awaitable[Handle]]

MAIN = "refs/heads/main"
GOOD, BAD, NEWER = revision("good"), revision("bad"), revision("newer")
_PROCESS = re.compile(r"^\d+@.+$")
"""`<process>@<host>`, as the SDK calls a worker."""


async def deployed(client: Client, world: World) -> Handle:
    """A good revision, without approval."""
    return await _deploy(client, world, GOOD)


async def deployment_rolled_back(client: Client, world: World) -> Handle:
    """A good revision, then one that crashes."""
    await _deploy(client, world, GOOD)
    _push_bad(world)
    return await _deploy(client, world, BAD)


async def environment_after_rollback(client: Client, world: World) -> Handle:
    """The same, seen from the environment."""
    await deployment_rolled_back(client, world)
    handle = client.get_workflow_handle(names.environment_id(world.repository.slug, "staging"))

    async def free() -> bool:
        seen = await handle.query(names.QUERY_STATE, result_type=EnvironmentState)
        return seen.holder is None and seen.hold is not None

    await until(free)
    return handle


async def approved(client: Client, world: World) -> Handle:
    """Production, with a person's yes."""
    handle = await _start_deployment(client, world, GOOD, "production")
    claim = {"by": "lead@example.org", "plan": await _question(handle)}
    await handle.signal(names.SIGNAL_APPROVE, claim)
    await handle.result()
    return handle


async def rejected(client: Client, world: World) -> Handle:
    """Production, with a person's no."""
    handle = await _start_deployment(client, world, GOOD, "production")
    claim = {"by": "lead@example.org", "plan": await _question(handle), "reason": "not today"}
    await handle.signal(names.SIGNAL_REJECT, claim)
    await handle.result()
    return handle


async def superseded(client: Client, world: World) -> Handle:
    """A newer head comes while a person is asked."""
    handle = await _start_deployment(client, world, GOOD, "production")
    await _question(handle)
    await handle.signal(names.SIGNAL_SUPERSEDE, {"by": NEWER})
    await handle.result()
    return handle


async def gave_way(client: Client, world: World) -> Handle:
    """A newer revision is ready while the health of this one is waited for."""
    world.history = [GOOD, NEWER]
    world.slow.add(GOOD)
    handle = await _start_deployment(client, world, GOOD, "staging")

    async def waits() -> bool:
        return bool((await handle.query(names.QUERY_STATE))["phase"] == "health")

    await until(waits)
    await _deploy(client, world, NEWER)
    await handle.result()
    return handle


async def drift_put_back(client: Client, world: World) -> Handle:
    """A look finds drift where the policy wants it put back; seen from the environment."""
    staging = world.pipeline.environments["staging"].model_copy(update={"drift": "correct"})
    await _deploy(client, world, GOOD)
    world.drifted = True
    await client.execute_workflow(
        names.MONITOR_WORKFLOW,
        MonitorRequest(repository=world.repository, environment="staging", policy=staging),
        id=names.monitor_id(world.repository.slug, "staging", "by-hand"),
        task_queue=names.WORKFLOW_QUEUE,
    )
    handle = client.get_workflow_handle(names.environment_id(world.repository.slug, "staging"))

    async def released() -> bool:
        seen = await handle.query(names.QUERY_STATE, result_type=EnvironmentState)
        return seen.holder is None and seen.fencing == 2

    await until(released)
    return handle


async def rolled_back_by_a_person(client: Client, world: World) -> Handle:
    """Two revisions that pass every check; a person wants the first back."""
    for word in ("one", "two"):
        await _deploy(client, world, revision(word))
    world.heads[MAIN] = revision("two")
    handle = await client.start_workflow(
        names.ROLLBACK_WORKFLOW,
        RollbackRequest(
            repository=world.repository,
            environment="staging",
            reason="latency doubled",
            requested_by="lead@example.org",
        ),
        id=names.rollback_id(world.repository.slug, "staging", "manual"),
        task_queue=names.WORKFLOW_QUEUE,
    )
    await handle.result()
    return handle


async def pipeline_succeeded(client: Client, world: World) -> Handle:
    """Every stage, staging and production."""
    handle = await _start_run(client, world, GOOD, "push")
    production = names.deployment_id(world.repository.slug, "production", GOOD)
    await until(lambda: _exists(client.get_workflow_handle(production)))
    waiting = client.get_workflow_handle(production)
    claim = {"by": "lead@example.org", "plan": await _question(waiting)}
    await waiting.signal(names.SIGNAL_APPROVE, claim)
    await handle.result()
    return handle


async def pull_request_blocked(client: Client, world: World) -> Handle:
    """A pull request with an error in a manifest."""
    world.heads[MAIN] = revision("base")
    finding = Finding(rule="schema", severity="error", file="manifests/a.yaml", line=4, message="x")
    world.findings[GOOD] = [finding]
    handle = await _start_run(client, world, GOOD, "pull-7")
    await handle.result()
    return handle


async def pipeline_rolled_back(client: Client, world: World) -> Handle:
    """A push that crashes in staging."""
    await _deploy(client, world, GOOD)
    _push_bad(world)
    handle = await _start_run(client, world, BAD, "push")
    await handle.result()
    return handle


async def two_pushes(client: Client, world: World) -> Handle:
    """Two pushes, one after the other's run has ended."""
    del world.pipeline.environments["production"]
    for number, rev in enumerate((GOOD, revision("better")), start=1):
        world.heads[MAIN] = rev
        handle: Handle = await client.start_workflow(
            names.REPOSITORY_WORKFLOW,
            RepositoryRequest(repository=world.repository),
            id=names.repository_id(world.repository.slug),
            task_queue=names.WORKFLOW_QUEUE,
            start_signal=names.SIGNAL_REPOSITORY_EVENT,
            start_signal_args=[{"kind": "push", "ref": MAIN, "delivery": str(number)}],
        )
        await _runs_ended(handle, number)
    return handle


async def healthy(client: Client, world: World) -> Handle:
    """One look after a deployment."""
    await _deploy(client, world, GOOD)
    world.heads[MAIN] = GOOD
    handle = await client.start_workflow(
        names.MONITOR_WORKFLOW,
        MonitorRequest(repository=world.repository, environment="staging"),
        id=names.monitor_id(world.repository.slug, "staging", "by-hand"),
        task_queue=names.WORKFLOW_QUEUE,
    )
    await handle.result()
    return handle


SCENARIOS: dict[str, Scenario] = {
    "deployment-deployed": deployed,
    "deployment-rolled-back": deployment_rolled_back,
    "deployment-approved": approved,
    "deployment-rejected": rejected,
    "deployment-superseded": superseded,
    "deployment-gave-way": gave_way,
    "rollback-rolled-back": rolled_back_by_a_person,
    "pipeline-succeeded": pipeline_succeeded,
    "pipeline-pull-request-blocked": pull_request_blocked,
    "pipeline-rolled-back": pipeline_rolled_back,
    "repository-two-pushes": two_pushes,
    "environment-after-rollback": environment_after_rollback,
    "environment-drift-put-back": drift_put_back,
    "monitor-healthy": healthy,
    **AGENT_SCENARIOS,
}


def _push_bad(world: World) -> None:
    world.heads[MAIN] = BAD
    world.broken.add(BAD)


async def _start_deployment(client: Client, world: World, rev: str, environment: str) -> Handle:
    return await client.start_workflow(
        names.DEPLOYMENT_WORKFLOW,
        DeploymentRequest(repository=world.repository, revision=rev, environment=environment),
        id=names.deployment_id(world.repository.slug, environment, rev),
        task_queue=names.WORKFLOW_QUEUE,
    )


async def _deploy(client: Client, world: World, rev: str) -> Handle:
    handle = await _start_deployment(client, world, rev, "staging")
    await handle.result()
    return handle


async def _start_run(client: Client, world: World, rev: str, event: str) -> Handle:
    return await client.start_workflow(
        names.PIPELINE_WORKFLOW,
        PipelineRequest(repository=world.repository, revision=rev, event=event),
        id=names.pipeline_id(world.repository.slug, event, rev),
        task_queue=names.WORKFLOW_QUEUE,
    )


async def _question(handle: Handle) -> str:
    """Wait until a person is asked; returns the plan's digest."""

    async def asked() -> bool:
        return bool((await handle.query(names.QUERY_STATE))["phase"] == "approval")

    await until(asked)
    return str((await handle.query(names.QUERY_STATE))["result"]["plan"]["digest"])


async def _runs_ended(handle: Handle, count: int) -> None:
    async def look() -> bool:
        runs = (await handle.query(names.QUERY_STATE, result_type=RepositoryState)).runs
        return len(runs) == count and all(run.outcome != "running" for run in runs)

    await until(look)


async def _exists(handle: Handle) -> bool:
    try:
        await handle.describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


def _anonymous(value: Any) -> Any:
    """The history without process ids and host names: `identity`, and sticky queues' names."""
    if isinstance(value, str):
        return _PROCESS.sub("recorder", value)
    if isinstance(value, dict):
        return {key: _anonymous(inner) for key, inner in value.items()}
    return [_anonymous(inner) for inner in value] if isinstance(value, list) else value


async def record(client: Client, name: str) -> None:
    """Run one scenario in a world of its own and write its history."""
    world = two_environments(f"http://localhost:1/replay/{name}.git")
    async with working(client, world):
        handle = await SCENARIOS[name](client, world)
        fetched = await handle.fetch_history()
    history = _anonymous(json.loads(fetched.to_json()))
    if wrong := disagreements(history, SHOWN[name]):
        raise SystemExit(f"{name} was not written: {'; '.join(wrong)}")
    document = {"workflowId": fetched.workflow_id, **history}
    path = HISTORIES / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.name}: {len(history['events'])} events\n")


async def main(wanted: list[str]) -> None:
    """Record the wanted histories, or all."""
    if unknown := set(wanted) - set(SCENARIOS):
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(SCENARIOS)}")
    HISTORIES.mkdir(exist_ok=True)
    async with dev_server() as client:
        for name in wanted or SCENARIOS:
            await record(client, name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
