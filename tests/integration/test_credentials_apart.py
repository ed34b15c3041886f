"""What a worker process of the agents' queue holds, looked at from outside while it works."""

import asyncio
import errno
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from pilothouse.models import names
from pilothouse.models.agents import AgentRequest, AgentResult
from pilothouse.models.objects import digest_of
from pilothouse.models.pipeline import Agent, McpServer
from pilothouse.models.repository import RepositoryRef
from tests.mcp_servers.hosting import Hosted, hosted
from tests.providers.dialects import Call, OpenAI
from tests.providers.server import ProviderServer
from tests.workflow.world import dev_server, revision
from workflows.agent import AgentWorkflow

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]

ROOT = Path(__file__).parents[2]
FOREIGN = (".kube/config", ".git-credentials", ".netrc", ".gitconfig", ".docker/config.json")
"""Where other programs keep what opens clusters, forges and registries."""
ANSWER = {
    "decision": "pass",
    "summary": "nothing speaks against it",
    "findings": [],
    "needs_human": False,
    "recovery": "",
}


def traps(home: Path) -> None:
    """Named pipes in the place of each file: who opens one to read waits for ever."""
    for name in FOREIGN:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(home / name)


def somebody_opens(pipe: Path) -> bool:
    """Whether a process has the pipe open to read, or waits for that."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        assert error.errno == errno.ENXIO
        return False
    return True


def variables(client: Client, home: Path, model: ProviderServer) -> dict[str, str]:
    """Everything that the worker gets: no part of the environment of this test."""
    return {
        "HOME": str(home),
        "PATH": os.defpath,
        "TEMPORAL_ADDRESS": client.service_client.config.target_host,
        "PILOTHOUSE_DATA_DIR": str(home / "data"),
        "PILOTHOUSE_MODEL_ENDPOINTS": json.dumps({"here": {"base_url": f"{model.url}/v1"}}),
        "PILOTHOUSE_MCP_TOKENS": json.dumps({
            "web": {"value": "canary-mcp-4711", "origin": "https://mcp.example.org"}
        }),
    }


@asynccontextmanager
async def agents_worker(given: dict[str, str], *queue: str) -> AsyncIterator[int]:
    """`python -m worker` for agents alone; yields its process id."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *queue),
        cwd=ROOT,
        env=given,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process.pid
        assert process.returncode is None, "the worker ended by itself"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def advised(client: Client, host: Hosted, *, queue: str = "") -> AgentResult:
    """One agent's turn with a model and a tool."""
    request = AgentRequest(
        repository=RepositoryRef(url="http://localhost:1/apart.git"),
        revision=revision("a"),
        run="run/1",
        name="adviser",
        spec=Agent(trigger="manual", model="here:m", mcp_tools=("get_logs",), task_queue=queue),
        servers={"k8s": McpServer(url=host.url, tools={"get_logs": "read"})},
        tree=digest_of(b""),
    )
    async with Worker(client, task_queue=names.WORKFLOW_QUEUE, workflows=[AgentWorkflow]):
        result: AgentResult = await client.execute_workflow(
            names.AGENT_WORKFLOW,
            request,
            id=f"run/1/adviser{queue}",
            task_queue=names.WORKFLOW_QUEUE,
            result_type=AgentResult,
        )
    return result


def say(model: ProviderServer) -> None:
    api = OpenAI()
    model.say(
        api.message(None, calls=[Call("k8s__get_logs", {"pod": "a"}, "c1")]),
        api.message(None, calls=[Call("submit_answer", ANSWER)]),
    )


async def test_the_agents_worker_holds_models_and_tools_and_opens_nothing_else(
    tmp_path: Path,
) -> None:
    traps(tmp_path)
    async with dev_server() as client, hosted() as host, ProviderServer() as model:
        say(model)
        given = variables(client, tmp_path, model)
        async with agents_worker(given, "--queue", names.AGENTS_QUEUE) as pid:
            result = await asyncio.wait_for(advised(client, host), 60)
            process = Path(f"/proc/{pid}")
            environment = process.joinpath("environ").read_bytes().decode().split("\0")
            opened = [str(each.readlink()) for each in process.joinpath("fd").iterdir()]
            wanted = [name for name in FOREIGN if somebody_opens(tmp_path / name)]
    assert (result.outcome, result.tools) == ("answered", {"k8s__get_logs": 1})
    assert sorted(filter(None, environment)) == sorted(f"{k}={v}" for k, v in given.items())
    assert wanted == []
    ours = [each for each in opened if each.startswith(str(tmp_path))]
    assert all(each.startswith(str(tmp_path / "data")) for each in ours)
    assert not (tmp_path / "data/mirrors").exists(), "it has no Git"


async def test_agents_of_another_queue_are_served_by_a_worker_that_is_told_its_name(
    tmp_path: Path,
) -> None:
    async with dev_server() as client, hosted() as host, ProviderServer() as model:
        say(model)
        given = variables(client, tmp_path, model)
        async with agents_worker(given, "--agents-queue", "gpu-agents"):
            result = await asyncio.wait_for(advised(client, host, queue="gpu-agents"), 60)
    assert (result.outcome, result.turns) == ("answered", 2)
