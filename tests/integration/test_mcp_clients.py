"""Real MCP servers over each transport, and each way in which they fail: fast, and never a hang."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pilothouse.clients.mcp import McpClients, ToolAnswer
from pilothouse.clients.mcp.credentials import McpAccess
from pilothouse.clients.settings import McpToken
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.pipeline import McpServer
from tests.mcp_servers import server as test_server
from tests.mcp_servers.hosting import Hosted, hosted

PROGRAM = (sys.executable, str(Path(test_server.__file__)))
HTTP = ["streamable-http", "streamable-http-events", "sse"]


@pytest.fixture
async def clients() -> AsyncIterator[McpClients]:
    opened = McpClients(McpAccess(commands=[PROGRAM]))
    yield opened
    await opened.aclose()


@pytest.fixture(params=HTTP)
async def host(request: pytest.FixtureRequest) -> AsyncIterator[Hosted]:
    kind = str(request.param)
    transport = "sse" if kind == "sse" else "streamable-http"
    async with hosted(transport=transport, json=kind == "streamable-http") as running:
        yield running


def declared(host: Hosted, **more: Any) -> McpServer:
    transport: Any = "sse" if host.url.endswith("/sse") else "streamable-http"
    return McpServer(transport=transport, url=host.url, **more)


async def call(
    clients: McpClients, server: McpServer, tool: str, timeout: float = 15, **arguments: Any
) -> ToolAnswer:
    return await clients.call(
        "test", server, tool, arguments, key="w/r/1", timeout=timeout, repeatable=True
    )


async def test_tools_are_listed_and_called(clients: McpClients, host: Hosted) -> None:
    server = declared(host)
    listed = {tool.name: tool for tool in await clients.list_tools("test", server, timeout=15)}
    assert listed["get_logs"].description == "The last lines of a pod's log."
    assert listed["restart"].hints.read_only is True
    for _ in range(2):
        answer = await call(clients, server, "get_logs", pod="api", lines=1)
        assert "log of api" in answer.text
        assert not answer.is_error
    assert await call(clients, server, "restart", pod="a") == ToolAnswer("restarted")
    assert host.world.keys == ["w/r/1"]


async def test_only_text_and_structured_content_are_passed_on(
    clients: McpClients, host: Hosted
) -> None:
    picture = await call(clients, declared(host), "picture")
    assert picture.text == "a graph\n[image, 4 characters of base64: not shown]"
    usage = await call(clients, declared(host), "usage")
    assert usage.text.count("10m") == 1


async def test_errors_of_a_tool_are_answers_for_the_model(
    clients: McpClients, host: Hosted
) -> None:
    failed = await call(clients, declared(host), "fail")
    assert failed.is_error
    assert "no such pod" in failed.text
    assert (await call(clients, declared(host), "unknown")).is_error


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, PermanentError, "ToolRefused"),
        (403, PermanentError, "ToolRefused"),
        (404, PermanentError, "ToolRefused"),
        (429, TemporaryError, "ToolUnavailable"),
        (500, TemporaryError, "ToolUnavailable"),
        (503, TemporaryError, "ToolUnavailable"),
    ],
)
async def test_a_status_keeps_its_meaning_and_comes_at_once(
    clients: McpClients, host: Hosted, status: int, error: type[Exception], kind: str
) -> None:
    host.fault.status = status
    host.fault.headers = (("retry-after", "7"),)
    started = time.monotonic()
    with pytest.raises(error) as raised:
        await call(clients, declared(host), "get_logs", pod="a")
    assert time.monotonic() - started < 5
    assert getattr(raised.value, "type", "") == kind
    assert "canary" not in str(raised.value)
    if isinstance(raised.value, TemporaryError):
        assert raised.value.delay is not None
        assert raised.value.delay.total_seconds() == 7
    host.fault.status = 0
    assert not (await call(clients, declared(host), "get_logs", pod="a")).is_error


async def test_a_server_that_is_down_is_said_at_once_and_found_again(clients: McpClients) -> None:
    async with hosted() as host:
        server = declared(host)
        await call(clients, server, "get_logs", pod="a")
    started = time.monotonic()
    with pytest.raises(TemporaryError) as raised:
        await call(clients, server, "get_logs", pod="a")
    assert raised.value.type == "ToolUnavailable"
    assert time.monotonic() - started < 5


async def test_a_server_that_dies_in_a_call_breaks_that_call_only(
    clients: McpClients, host: Hosted
) -> None:
    calling = asyncio.create_task(call(clients, declared(host), "slow", seconds=60))
    await reached(host, "slow")
    host.drop()
    with pytest.raises(TemporaryError):
        await asyncio.wait_for(calling, 10)
    assert not (await call(clients, declared(host), "get_logs", pod="a")).is_error


async def test_a_server_that_never_answers_ends_with_the_timeout(
    clients: McpClients, host: Hosted
) -> None:
    host.fault.hang = True
    started = time.monotonic()
    with pytest.raises(TemporaryError, match="in time"):
        await call(clients, declared(host), "get_logs", 0.5, pod="a")
    assert time.monotonic() - started < 5
    host.fault.hang = False
    assert not (await call(clients, declared(host), "get_logs", pod="a")).is_error


async def test_cancelling_a_call_is_quick_and_leaves_the_rest_well(
    clients: McpClients, host: Hosted
) -> None:
    calling = asyncio.create_task(call(clients, declared(host), "slow", 60, seconds=60))
    await reached(host, "slow")
    calling.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert time.monotonic() - started < 3
    assert not (await call(clients, declared(host), "get_logs", pod="a")).is_error


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"nonsense", "application/json"),
        (b'{"jsonrpc": "2.0"', "application/json"),
        (b"[]", "application/json"),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {"content": "canary"}}', "application/json"),
        (b"<html>canary</html>", "text/html"),
        (b"data: canary\n\n", "text/event-stream"),
    ],
)
async def test_nonsense_is_an_error_without_its_text(
    clients: McpClients, host: Hosted, body: bytes, content_type: str
) -> None:
    host.fault.body, host.fault.content_type = body, content_type
    with pytest.raises((PermanentError, TemporaryError)) as raised:
        await call(clients, declared(host), "get_logs", 1.5, pod="a")
    assert "canary" not in str(raised.value)


async def test_an_answer_that_is_too_large_is_said_to_the_model(
    clients: McpClients, host: Hosted
) -> None:
    answer = await call(clients, declared(host), "big", size=9_000_000)
    assert answer.is_error
    assert "ask for less" in answer.text


async def test_a_result_is_capped(clients: McpClients) -> None:
    async with hosted() as host:
        answer = await call(clients, declared(host), "big", size=3_000_000)
    assert (len(answer.text), answer.cut) == (1024 * 1024, 3_000_000 - 1024 * 1024)


async def test_a_credential_goes_to_its_server_and_never_along_a_redirect() -> None:
    async with hosted() as host, hosted() as elsewhere:
        token = McpToken(value=SecretStr("canary-token"), origin=host.url.removesuffix("/mcp"))
        opened = McpClients(McpAccess({"t": token}))
        host.fault.token = "canary-token"
        try:
            with pytest.raises(PermanentError, match="refuses us"):
                await call(opened, declared(host), "get_logs", pod="a")
            answer = await call(opened, declared(host, token="t"), "get_logs", pod="a")
            assert not answer.is_error
            with pytest.raises(PermanentError, match="is not for"):
                await call(opened, declared(elsewhere, token="t"), "get_logs", pod="a")
            host.fault.token, host.fault.location = "", elsewhere.url
            with pytest.raises(PermanentError):
                await call(opened, declared(host, token="t"), "get_logs", pod="a")
        finally:
            await opened.aclose()
        assert elsewhere.fault.posts == 0


async def test_many_calls_at_once_share_their_connections(clients: McpClients) -> None:
    async with hosted() as host:
        answers = await asyncio.gather(
            *(call(clients, declared(host), "get_logs", pod=f"p{n}") for n in range(40))
        )
    assert all(f"log of p{n}" in answer.text for n, answer in enumerate(answers))


@pytest.mark.parametrize("status", [500, 0])
async def test_a_write_whose_end_is_not_known_is_not_repeated(
    clients: McpClients, status: int
) -> None:
    async with hosted() as host:
        host.fault.status, host.fault.hang = status, not status
        with pytest.raises(PermanentError, match="not known whether") as raised:
            await clients.call("test", declared(host), "restart", {"pod": "a"}, key="k", timeout=1)
    assert raised.value.type == "ToolUnavailable"


async def test_a_write_that_was_never_sent_may_be_repeated(clients: McpClients) -> None:
    async with hosted() as host:
        server = declared(host)
    with pytest.raises(TemporaryError):
        await clients.call("test", server, "restart", {"pod": "a"}, key="k", timeout=5)


# -- programs -------------------------------------------------------------------------------------


async def test_a_program_is_kept_and_started_anew_when_it_ends(clients: McpClients) -> None:
    server = McpServer(transport="stdio", command=PROGRAM)
    await call(clients, server, "get_logs", 60, pod="a")
    started = time.monotonic()
    await call(clients, server, "get_logs", 60, pod="b")
    assert time.monotonic() - started < 0.5  # no second start, which takes as long as an import
    with pytest.raises(TemporaryError):
        await call(clients, server, "die", 60)
    assert "log of c" in (await call(clients, server, "get_logs", 60, pod="c")).text
    with pytest.raises(TemporaryError, match="in time"):
        await call(clients, server, "slow", 0.5, seconds=60)
    assert "log of d" in (await call(clients, server, "get_logs", 60, pod="d")).text


async def test_a_program_gets_its_credential_and_nothing_else_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PILOTHOUSE_ANTHROPIC_API_KEY", "canary")
    token = McpToken(value=SecretStr("its-own"), variable="SERVER_TOKEN")
    opened = McpClients(McpAccess({"t": token}, [PROGRAM]))
    server = McpServer(transport="stdio", command=PROGRAM, token="t")
    try:
        own = await call(opened, server, "variable", 60, name="SERVER_TOKEN")
        other = await call(opened, server, "variable", 60, name="PILOTHOUSE_ANTHROPIC_API_KEY")
    finally:
        await opened.aclose()
    assert (own.text, other.text) == ("its-own", "(unset)")


@pytest.mark.parametrize("command", [("/does/not/exist",), (sys.executable, "-c", "pass")])
async def test_a_program_that_cannot_serve_is_unavailable(command: tuple[str, ...]) -> None:
    opened = McpClients(McpAccess(commands=[command]))
    try:
        with pytest.raises((TemporaryError, PermanentError)) as raised:
            await call(opened, McpServer(transport="stdio", command=command), "get_logs", 20)
    finally:
        await opened.aclose()
    assert getattr(raised.value, "type", "") == "ToolUnavailable"


async def reached(host: Hosted, tool: str) -> None:
    """Wait until the server is in a call of the tool."""
    async with asyncio.timeout(10):
        while tool not in host.world.calls:
            await asyncio.sleep(0.01)
