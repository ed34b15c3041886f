"""Histories of agents, of leases and of owners: scripted models and tools, a key, a person."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from activities.ledgers import LedgerActivities
from pilothouse.clients.models.scripted import ScriptedReply
from pilothouse.models import names
from pilothouse.models.agents import AgentRequest, AgentResult
from pilothouse.models.environment import EnvironmentState, LockKey
from pilothouse.models.objects import digest_of
from pilothouse.models.pipeline import Agent, Environment, McpServer, Pipeline
from pilothouse.models.runs import PipelineRequest
from pilothouse.models.tools import Material
from pilothouse.models.workspace import EmittedEvent, LeaseRequest, LeaseState
from tests.workflow.voices import answer, calling, finding
from tests.workflow.world import World, revision, until

Handle = WorkflowHandle[Any, Any]

_MODEL = "scripted:one"
_GOOD = revision("good")
_OWNER = "lead@example.org"


async def answered(client: Client, world: World) -> Handle:
    """Two reads at the same time, a write that is refused, an answer with evidence."""
    both = (*calling("k8s__look").calls, *calling("k8s__peek").calls)
    world.voices.say(
        _MODEL,
        ScriptedReply(calls=both, input_tokens=100, output_tokens=10),
        calling("k8s__change"),
        ScriptedReply(result={"decision": "perhaps"}),
        answer("block", finding("error", "it panics", E1="no model file")),
    )
    handle = await _begin(client, world)
    await handle.result()
    return handle


async def in_circles(client: Client, world: World) -> Handle:
    """The same read again and again."""
    world.voices.say(_MODEL, calling("k8s__look"))
    handle = await _begin(client, world, on_error="human")
    await handle.result()
    return handle


async def superseded(client: Client, world: World) -> Handle:
    """A newer revision while the model thinks."""
    world.voices.say(_MODEL, calling("k8s__look"), ScriptedReply(seconds=60))
    handle = await _begin(client, world)

    async def thinks() -> bool:
        state = await handle.query(names.QUERY_STATE, result_type=AgentResult)
        return bool(state.tools) and len(world.voices.prompts) == 2

    await until(thinks)
    await handle.signal(names.SIGNAL_SUPERSEDE, {"by": revision("newer")})
    await handle.result()
    return handle


async def released(client: Client, world: World) -> Handle:
    """A key takes an environment's lock, renews its lease, and gives it back."""
    key = "k0123456789ab"
    handle = await client.start_workflow(
        names.LEASE_WORKFLOW,
        LeaseRequest(
            repository=world.repository, environment="staging", holder=key, revision=_GOOD
        ),
        id=names.lease_id(world.repository.slug, "staging", key),
        task_queue=names.WORKFLOW_QUEUE,
        start_signal=names.SIGNAL_RENEW_LOCK,
        start_signal_args=[LockKey(holder=key)],
    )
    await client.start_workflow(
        names.ENVIRONMENT_WORKFLOW,
        {"repository": world.repository.model_dump(), "environment": "staging"},
        id=names.environment_id(world.repository.slug, "staging"),
        task_queue=names.WORKFLOW_QUEUE,
    )

    async def held() -> bool:
        state = await handle.query(names.QUERY_STATE, result_type=LeaseState)
        return bool(state.phase == "held")

    await until(held)
    await handle.signal(names.SIGNAL_RELEASE_LOCK, LockKey(holder=key))
    await asyncio.wait_for(handle.result(), 30)
    return handle


async def advised_run(client: Client, world: World) -> Handle:
    """A validator's model asks for a person; an agent outside has its turn; a person decides."""
    handle = await _advised(client, world)
    await _decided(client, world)
    await handle.result()
    return handle


async def advised_deployment(client: Client, world: World) -> Handle:
    """The same, seen from the deployment, whose plan a model explains and whose owner decides."""
    await (await _advised(client, world)).signal(names.SIGNAL_EMIT, _emitted())
    return await _decided(client, world)


async def handed_over(client: Client, world: World) -> Handle:
    """An environment is handed to a person and back."""
    handle = await client.start_workflow(
        names.ENVIRONMENT_WORKFLOW,
        {"repository": world.repository.model_dump(), "environment": "staging"},
        id=names.environment_id(world.repository.slug, "staging"),
        task_queue=names.WORKFLOW_QUEUE,
    )
    for owner in ("lead@example.org", ""):
        claim = {"owner": owner, "by": "dana@example.org", "reason": "audit week"}
        await handle.signal(names.SIGNAL_TRANSFER_OWNERSHIP, claim)

    async def seen() -> bool:
        state = await handle.query(names.QUERY_STATE, result_type=EnvironmentState)
        return bool(state.ownership is None and state.notices)

    await until(seen)
    return handle


AGENT_SCENARIOS: dict[str, Callable[[Client, World], Awaitable[Handle]]] = {
    "agent-answered": answered,
    "agent-in-circles": in_circles,
    "agent-superseded": superseded,
    "lease-released": released,
    "pipeline-advised": advised_run,
    "deployment-advised": advised_deployment,
    "environment-handed-over": handed_over,
}


async def _advised(client: Client, world: World) -> Handle:
    """A run whose validator and deployer ask a model, with an agent outside in between."""
    world.voices.say(_MODEL, answer("review", needs_human=True))
    world.ledgers = LedgerActivities(client=client)
    agents = {
        "validator": Agent(trigger="webhook.push", model=_MODEL),
        "scanner": Agent(trigger="status.validated", role="external"),
        "deployer": Agent(trigger="status.scanner_passed", model=_MODEL),
    }
    environments = {"staging": Environment(namespace="app-staging")}
    world.pipeline = Pipeline(agents=agents, environments=environments)
    await client.start_workflow(
        names.ENVIRONMENT_WORKFLOW,
        {"repository": world.repository.model_dump(), "environment": "staging"},
        id=names.environment_id(world.repository.slug, "staging"),
        task_queue=names.WORKFLOW_QUEUE,
        start_signal=names.SIGNAL_TRANSFER_OWNERSHIP,
        start_signal_args=[{"owner": _OWNER, "by": "dana@example.org", "reason": "audit week"}],
    )
    return await client.start_workflow(
        names.PIPELINE_WORKFLOW,
        PipelineRequest(repository=world.repository, revision=_GOOD, event="push"),
        id=names.pipeline_id(world.repository.slug, "push", _GOOD),
        task_queue=names.WORKFLOW_QUEUE,
        start_signal=names.SIGNAL_EMIT,
        start_signal_args=[_emitted()],
    )


def _emitted() -> EmittedEvent:
    return EmittedEvent(event="scanner_passed", by="k0123456789ab", revision=_GOOD)


async def _decided(client: Client, world: World) -> Handle:
    """Somebody approves whose approval does not count, then the owner."""
    handle: Handle = client.get_workflow_handle(
        names.deployment_id(world.repository.slug, "staging", _GOOD)
    )

    async def asked() -> bool:
        try:
            return bool((await handle.query(names.QUERY_STATE))["phase"] == "approval")
        except RPCError:  # it has not been started yet
            return False

    await until(asked)
    plan = (await handle.query(names.QUERY_STATE))["result"]["plan"]["digest"]
    for by in ("other@example.org", _OWNER):
        await handle.signal(names.SIGNAL_APPROVE, {"by": by, "plan": plan})
    await handle.result()
    return handle


async def _begin(client: Client, world: World, **fields: Any) -> Handle:
    voices = world.voices
    voices.offer("k8s", "look", "peek", "change")
    log = b"panic: no model file\n"
    tools: Any = {"look": "read", "peek": "read", "change": "write"}
    request = AgentRequest(
        repository=world.repository,
        revision=_GOOD,
        run="run/1",
        name="adviser",
        spec=Agent(trigger="manual", model=_MODEL, mcp_tools=tuple(tools), **fields),
        servers={"k8s": McpServer(url="http://localhost:1/mcp", tools=tools)},
        tree=digest_of(b""),
        read_only=False,
        material=(
            Material(id="E1", kind="log", title="api", content=voices.store.put(log), size=21),
        ),
    )
    return await client.start_workflow(
        names.AGENT_WORKFLOW,
        request,
        id=names.agent_id(world.repository.slug, "adviser"),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=AgentResult,
    )
