"""A whole run in a hostile world, and everything that was left of it: what people or others see."""

import asyncio
import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client, WorkflowHandle

from pilothouse.models import names
from pilothouse.models.runs import PipelineRequest, PipelineResult
from tests.adversary.hostile import PRODUCTION, Hostile
from tests.workflow.world import until


@dataclass(frozen=True)
class Left:
    """What is left of a run."""

    result: PipelineResult
    histories: dict[str, str]
    """Workflow id -> its whole history, with every payload in plain text."""
    scheduled: list[tuple[str, str]]
    """(activity, task queue) of every activity."""
    descriptions: str
    """What the server's lists show: ids, memos, search attributes, summaries, details."""


async def play_out(client: Client, world: Hostile, event: str, rev: str) -> Left:
    """Run it. A person looks at production's question, and says no."""
    world.heads["refs/heads/main"] = rev
    run = await client.start_workflow(
        names.PIPELINE_WORKFLOW,
        PipelineRequest(
            repository=world.repository, revision=rev, event=event, base_ref="refs/heads/main"
        ),
        id=names.pipeline_id(world.repository.slug, event, rev),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=PipelineResult,
    )
    async with asyncio.timeout(60):
        if event == "push" and PRODUCTION in world.files["pipeline.yaml"]:
            await _refuse(client, world, run, rev)
        result = await run.result()
    return await _gathered(client, world, result)


async def _refuse(client: Client, world: Hostile, run: WorkflowHandle[Any, Any], rev: str) -> None:
    id = names.deployment_id(world.repository.slug, "production", rev)
    handle = client.get_workflow_handle(id)

    async def asks() -> bool:
        assert (await run.describe()).close_time is None, "the run ended before a person was asked"
        found = [each async for each in client.list_workflows(f"WorkflowId = '{id}'")]
        return bool(found) and (await handle.query(names.QUERY_STATE))["phase"] == "approval"

    await until(asks, 60)
    plan = world._plan(world.planned[-1].content)
    claim = {"by": "eve@example.org", "plan": plan, "reason": "no"}
    await handle.signal(names.SIGNAL_REJECT, claim)


async def _gathered(client: Client, world: Hostile, result: PipelineResult) -> Left:
    histories: dict[str, str] = {}
    scheduled: list[tuple[str, str]] = []
    described: list[str] = []
    async for each in client.list_workflows(f"PilothouseRepository = '{world.repository.slug}'"):
        handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(each.id, run_id=each.run_id)
        history = (await handle.fetch_history()).to_json()
        histories[each.id] = history + _plain(history)
        scheduled += re.findall(
            r'"activityType":\s*{\s*"name":\s*"(\w+)"\s*},\s*"taskQueue":\s*{\s*"name":\s*"([\w-]+)"',
            history,
        )
        description = await handle.describe()
        described += [str(description.raw_description), str(await description.memo())]
        described.append(str(await handle.query("__temporal_workflow_metadata")))
    return Left(result, histories, scheduled, "\n".join(described))


def _plain(history: str) -> str:
    texts = [b64decode(data) for data in re.findall(r'"data":\s*"([^"]+)"', history)]
    return b"\n".join(texts).decode("utf-8", "replace")
