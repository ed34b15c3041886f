"""What the workflow tests do to a deployment and its environment, as a person or a run would."""

from typing import Any

from temporalio.client import Client, WorkflowHandle

from pilothouse.models import names
from pilothouse.models.environment import EnvironmentState
from pilothouse.models.runs import DeploymentRequest, DeploymentResult
from tests.workflow.world import World, until

Handle = WorkflowHandle[Any, Any]


async def start(
    client: Client, world: World, rev: str, environment: str = "staging", **fields: Any
) -> Handle:
    request = DeploymentRequest(
        repository=world.repository, revision=rev, environment=environment, **fields
    )
    return await client.start_workflow(
        names.DEPLOYMENT_WORKFLOW,
        request,
        id=names.deployment_id(world.repository.slug, environment, rev),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=DeploymentResult,
    )


async def deploy(
    client: Client, world: World, rev: str, environment: str = "staging", **fields: Any
) -> Any:
    return await (await start(client, world, rev, environment, **fields)).result()


def environment_of(client: Client, world: World, environment: str = "staging") -> Handle:
    return client.get_workflow_handle(names.environment_id(world.repository.slug, environment))


async def ledger(client: Client, world: World, environment: str = "staging") -> Any:
    return await environment_of(client, world, environment).query(
        names.QUERY_STATE, result_type=EnvironmentState
    )


async def phase(handle: Handle, wanted: str) -> None:
    """Wait until a deployment is in a phase."""

    async def look() -> bool:
        return bool((await handle.query(names.QUERY_STATE))["phase"] == wanted)

    await until(look)


async def free(client: Client, world: World) -> Any:
    """Wait until nobody holds staging's lock; what staging remembers then."""

    async def look() -> bool:
        return (await ledger(client, world)).holder is None

    await until(look)
    return await ledger(client, world)


async def bad_push(client: Client, world: World, rev: str) -> Any:
    """Deploy a revision that is the branch's head and does not become healthy."""
    world.heads["refs/heads/main"] = rev
    world.broken.add(rev)
    return await deploy(client, world, rev)
