"""Tools as a workflow gets them: chosen, called, sanitised, framed, kept."""

import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.tools import ToolActivities
from pilothouse.clients.mcp import McpClients
from pilothouse.clients.mcp.credentials import McpAccess
from pilothouse.clients.store import ContentStore
from pilothouse.models.conversations import TOOL_LIST
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.objects import canonical_json
from pilothouse.models.pipeline import McpServer
from pilothouse.models.tools import (
    ToolCallRequest,
    ToolCallResult,
    ToolList,
    ToolListRequest,
    ToolSpec,
)
from tests.mcp_servers.hosting import Hosted, hosted
from tests.mcp_servers.server import World

KINDS: Any = {
    "get_logs": "read",
    "big": "read",
    "fail": "read",
    "restart": "write",
    "scale": "write",
}


class Agent:
    """Calls activities as a workflow would."""

    def __init__(self, directory: Path, host: Hosted, clients: McpClients) -> None:
        self.store = ContentStore(directory)
        self.directory = directory
        self.host = host
        self.server = McpServer(url=host.url, tools=KINDS)
        self._activities = ToolActivities(
            store=self.store, clients=clients, secrets=["worker-secret-1"]
        )
        self._calls = 0

    async def list(self, *allowed: str, read_only: bool = False, **pins: str) -> ToolList:
        server = self.server.model_copy(update={"pins": pins})
        request = ToolListRequest(allowed=allowed, servers={"k8s": server}, read_only=read_only)
        return await ActivityEnvironment().run(self._activities.list_tools, request)

    async def spec(self, tool: str) -> ToolSpec:
        return (await self.list(tool)).tools[0]

    async def call(
        self, spec: ToolSpec, *readable: str, attempt: int = 1, **arguments: Any
    ) -> ToolCallResult:
        self._calls += 1
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, attempt=attempt)
        request = ToolCallRequest(
            spec=spec,
            server=self.server if spec.server else None,
            arguments=self.store.put(canonical_json(arguments)),
            key=f"agent/run/{self._calls}",
            evidence=f"E{self._calls}",
            readable=readable,
            timeout_seconds=10,
        )
        return await environment.run(self._activities.call_tool, request)

    def everything(self) -> str:
        """What is in the content store."""
        kept = [path for path in self.directory.rglob("*") if path.is_file()]
        return "".join(path.read_text(errors="replace") for path in kept)

    def text(self, digest: str) -> str:
        return self.store.get(digest).decode()


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    clients = McpClients(McpAccess())
    async with hosted() as host:
        yield Agent(tmp_path, host, clients)
    await clients.aclose()


async def test_an_agent_is_told_of_its_tools_and_why_it_has_no_others(agent: Agent) -> None:
    listed = await agent.list("get_logs", "restart", "slow", read_only=True)
    assert [tool.name for tool in listed.tools] == ["k8s__get_logs", "read_more"]
    assert {each.tool: each.reason for each in listed.left_out} == {
        "restart": "ceiling",
        "slow": "unclassified",
    }
    definitions = TOOL_LIST.validate_json(agent.store.get(listed.definitions))
    assert [each.name for each in definitions] == ["k8s__get_logs", "read_more"]
    assert definitions[0].input_schema["required"] == ["pod"]


async def test_what_a_server_says_of_its_tools_is_sanitised(tmp_path: Path) -> None:
    clients = McpClients(McpAccess())
    async with hosted(World(description="Logs\u200b. token=hunter2-canary \x1b[2J")) as host:
        agent = Agent(tmp_path, host, clients)
        listed = await agent.list("get_logs")
    await clients.aclose()
    told = agent.text(listed.definitions)
    assert "Logs. token=<REDACTED:" in told
    assert "hunter2" not in agent.everything()
    assert agent.text(listed.tools[0].description).startswith("Logs.")


async def test_a_pin_of_git_disables_a_tool_that_changed(agent: Agent) -> None:
    pin = (await agent.spec("get_logs")).pin
    assert (await agent.list("get_logs", get_logs=pin)).tools[0].pinned
    listed = await agent.list("get_logs", get_logs="sha256:" + "0" * 64)
    assert [each.reason for each in listed.left_out] == ["drifted"]


async def test_a_result_is_sanitised_framed_and_kept(agent: Agent) -> None:
    result = await agent.call(await agent.spec("get_logs"), pod="api", lines=2)
    shown = agent.text(result.text)
    assert shown.startswith('<untrusted id="E1" source="tool k8s get_logs" marker="')
    assert "log of api" in shown
    assert result.redactions == {"assignment": 1}
    assert "hunter2-canary" not in agent.everything()
    assert "\x1b" not in agent.everything()
    assert agent.text(result.material.content) == agent.text(result.full)
    assert result.material.untrusted


async def test_an_error_of_a_tool_is_sanitised_as_well(agent: Agent) -> None:
    result = await agent.call(await agent.spec("fail"))
    assert result.is_error
    assert "no such pod" in agent.text(result.text)
    assert "sk-canary" not in agent.text(result.text)


async def test_the_workers_own_secrets_never_come_back(agent: Agent) -> None:
    result = await agent.call(await agent.spec("get_logs"), pod="worker-secret-1")
    assert "worker-secret-1" not in agent.text(result.full)


async def test_arguments_that_do_not_fit_are_told_and_never_sent(agent: Agent) -> None:
    result = await agent.call(await agent.spec("get_logs"), pod=5)
    assert result.is_error
    assert "the call was not made: pod:" in agent.text(result.text)
    assert agent.host.world.calls == []


async def test_a_long_result_can_be_read_on_by_who_was_shown_it(agent: Agent) -> None:
    result = await agent.call(await agent.spec("big"), size=300_000)
    assert result.omitted > 200_000
    assert f'read_more(ref="{result.full}"' in agent.text(result.text)
    builtin = (await agent.list()).tools[0]
    more = await agent.call(builtin, result.full, ref=result.full, start=20, lines=2)
    assert agent.text(more.full).startswith("y" * 2000)
    other = await agent.call(builtin, ref=result.full)
    assert other.is_error
    assert "y" * 20 not in agent.text(other.text)


async def test_the_operation_id_is_ours_even_if_the_model_gives_one(agent: Agent) -> None:
    await agent.call(await agent.spec("scale"), attempt=2, replicas=3, idempotency_key="mine")
    assert agent.host.world.keys == ["agent/run/1"]


async def test_a_write_is_not_sent_again_after_the_worker_died_in_it(agent: Agent) -> None:
    spec = await agent.spec("restart")
    with pytest.raises(PermanentError, match="not known whether"):
        await agent.call(spec, attempt=2, pod="a")
    assert agent.host.world.calls == []
    await agent.call(spec, pod="a")
    assert agent.host.world.calls == ["restart a"]


async def test_a_server_that_is_down_is_a_temporary_error(tmp_path: Path) -> None:
    clients = McpClients(McpAccess())
    async with hosted() as host:
        agent = Agent(tmp_path, host, clients)
        spec = await agent.spec("get_logs")
    for attempt in (agent.list("get_logs"), agent.call(spec, pod="a")):
        with pytest.raises(TemporaryError) as raised:
            await attempt
        assert raised.value.type == "ToolUnavailable"
    await clients.aclose()


async def test_what_goes_through_history_is_small(agent: Agent) -> None:
    listed = await agent.list("get_logs", "restart", "big")
    result = await agent.call(await agent.spec("big"), size=900_000)
    assert len(json.dumps(listed.model_dump(mode="json"))) < 4_000
    assert len(json.dumps(result.model_dump(mode="json"))) < 2_000
