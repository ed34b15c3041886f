"""kill -9 of the worker in the middle of a ten-call agent: it goes on, and nothing is asked again.

A real worker process, the real provider SDK and the real MCP client, against servers here.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from pilothouse.clients.settings import inherited_environment
from pilothouse.models import names
from pilothouse.models.agents import AgentRequest, AgentResult
from pilothouse.models.objects import digest_of
from pilothouse.models.pipeline import Agent, McpServer
from pilothouse.models.repository import RepositoryRef
from tests.mcp_servers.hosting import Hosted, hosted
from tests.providers.dialects import Call, OpenAI
from tests.providers.server import ProviderServer
from tests.workflow.world import dev_server, revision, until

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).parents[2]
TURNS = 10
ANSWER = {
    "decision": "review",
    "summary": "looked at every pod",
    "findings": [],
    "needs_human": False,
    "recovery": "",
}


@asynccontextmanager
async def worker(client: Client, data: Path, model: ProviderServer) -> AsyncIterator[Any]:
    """`python -m worker` for workflows and agents, as `kill -9` finds it."""
    endpoints = {"here": {"base_url": f"{model.url}/v1"}}
    queues = (names.WORKFLOW_QUEUE, names.AGENTS_QUEUE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *(part for q in queues for part in ("--queue", q))),
        cwd=ROOT,
        env=inherited_environment(
            TEMPORAL_ADDRESS=client.service_client.config.target_host,
            PILOTHOUSE_DATA_DIR=str(data),
            PILOTHOUSE_MODEL_ENDPOINTS=json.dumps(endpoints),
        ),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def begin(client: Client, host: Hosted) -> WorkflowHandle[Any, AgentResult]:
    tools: Any = {"get_logs": "read", "slow": "read"}
    request = AgentRequest(
        repository=RepositoryRef(url="http://localhost:1/killed.git"),
        revision=revision("a"),
        run="run/1",
        name="adviser",
        spec=Agent(trigger="manual", model="here:m", mcp_tools=tuple(tools)),
        servers={"k8s": McpServer(url=host.url, tools=tools)},
        tree=digest_of(b""),
    )
    return await client.start_workflow(
        names.AGENT_WORKFLOW,
        request,
        id="run/1/adviser",
        task_queue=names.WORKFLOW_QUEUE,
        result_type=AgentResult,
    )


async def asked(model: ProviderServer, turns: int) -> None:
    """Wait until the model was asked for a turn, and its reply led to the next tool call."""

    async def look() -> bool:
        return len(model.received) >= turns

    await until(look, seconds=60)


def replies(turns: int) -> Sequence[Any]:
    """Ten questions about pods, each after the slow tool gives the killer time; then the answer."""
    api = OpenAI()
    looks = [
        api.message(
            None,
            calls=[
                Call("k8s__get_logs", {"pod": f"pod-{turn}"}, f"c{turn}"),
                Call("k8s__slow", {"seconds": 0.5 + turn / 100}, f"s{turn}"),
            ],
        )
        for turn in range(turns)
    ]
    return [*looks, api.message(None, calls=[Call("submit_answer", ANSWER)])]


async def test_it_resumes_at_the_exact_call_and_no_model_call_is_repeated(tmp_path: Path) -> None:
    async with dev_server() as client, hosted() as host, ProviderServer() as model:
        model.say(*replies(TURNS))
        async with worker(client, tmp_path, model):
            handle = await begin(client, host)
            await asked(model, 3)
        for turn in (5, 8):
            async with worker(client, tmp_path, model) as process:
                await asked(model, turn)
                # The reply is here, its tools are running: the worst moment for a tool.
                calls = len(host.world.calls)

                async def another(before: int = calls) -> bool:
                    return len(host.world.calls) > before

                await until(another)
                process.send_signal(signal.SIGKILL)
                assert await process.wait() == -signal.SIGKILL
        async with worker(client, tmp_path, model):
            result = await asyncio.wait_for(handle.result(), 90)

    assert (result.outcome, result.verdict, result.turns) == ("answered", "review", TURNS + 1)
    assert len(model.received) == TURNS + 1, "each question was paid for once"
    questions = [json.dumps(each.body["messages"]) for each in model.received]
    assert len(set(questions)) == len(questions)
    assert result.tools == {"k8s__get_logs": TURNS, "k8s__slow": TURNS}
    looks = [call for call in host.world.calls if call.startswith("get_logs")]
    assert sorted(set(looks)) == sorted(f"get_logs pod-{turn}" for turn in range(TURNS))
