"""Calls to MCP servers of any transport and either era of the protocol."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar, cast

import httpx2
import mcp.types as types
from mcp.client.client import Client
from mcp.client.session import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import Implementation, RequestParamsMeta
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import JsonValue

from pilothouse.clients.mcp.credentials import McpAccess
from pilothouse.clients.mcp.faults import AnswerRefusedError, is_transport_fault, translated
from pilothouse.clients.mcp.results import ToolAnswer, advertised, answer_of, bounded
from pilothouse.clients.mcp.stdio import Program
from pilothouse.clients.mcp.transport import http_client, shared_transport
from pilothouse.clients.models.transport import MAX_REPLY_BYTES
from pilothouse.gitops.agents.toolset import AdvertisedTool
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.pipeline import McpServer

IDEMPOTENCY_META: Final = "pilothouse.dev/idempotency-key"
"""Where the operation id stands in a request's `_meta`."""
MAX_LISTED: Final = 1_000
"""Tools of one server; a paginator that never ends is not followed."""
_GRACE: Final = 3.0
"""Seconds to leave a connection after the timeout, before it is torn down."""
_US: Final = Implementation(name="pilothouse", version="1")
_Result = TypeVar("_Result")


class McpClients:
    """The MCP servers of one worker.

    HTTP servers get one connection-less session for each call, over shared connections: when a
    server dies, the SDK's long-lived clients never come back. Programs on stdio are kept running.
    May be used by any number of activities at once.
    """

    def __init__(self, access: McpAccess) -> None:
        self._access = access
        self._shared: httpx2.AsyncBaseTransport | None = None
        self._programs: dict[tuple[tuple[str, ...], str], Program] = {}
        self._eras: dict[str, str] = {}
        """URL -> the SDK's mode that worked last."""

    async def list_tools(
        self, name: str, server: McpServer, *, timeout: float
    ) -> tuple[AdvertisedTool, ...]:
        """What a server offers.

        Raises:
            PermanentError: `ToolRefused`, it refuses us or is no MCP server.
            TemporaryError: `ToolUnavailable`, it is down, slow, or answers nonsense.
        """
        return await self._with_session(name, server, _list, timeout=timeout, repeatable=True)

    async def call(
        self,
        name: str,
        server: McpServer,
        tool: str,
        arguments: Mapping[str, JsonValue],
        *,
        key: str,
        timeout: float,
        repeatable: bool = False,
        list_first: bool = False,
    ) -> ToolAnswer:
        """Call a tool once. Cancelling aborts the request.

        A server may take effect and die before it answers. With `repeatable` that is a temporary
        error, else a permanent one that says so.

        Args:
            name: the server's name, for messages.
            server: where it is.
            tool: as the server calls it.
            arguments: already validated.
            key: operation id, sent along for servers that know the same call when they see it.
            timeout: seconds for all of it.
            repeatable: the call reads, or the server takes the key.
            list_first: the tool wants some arguments in headers, which its listing says.

        Raises:
            PermanentError: `ToolRefused`; `ToolUnavailable` if it is not known what happened.
            TemporaryError: `ToolUnavailable`.
        """
        params = types.CallToolRequestParams(
            name=tool,
            arguments=dict(arguments),
            # The TypedDict is open for keys of any name, which mypy does not know yet.
            _meta=cast(RequestParamsMeta, {IDEMPOTENCY_META: key}),
        )
        talk = functools.partial(_call, params=params, server=name, list_first=list_first)
        try:
            return await self._with_session(
                name, server, talk, timeout=timeout, repeatable=repeatable
            )
        except AnswerRefusedError as error:
            return ToolAnswer(f"{error}: ask for less", is_error=True)

    async def aclose(self) -> None:
        """End every program and close the connections. Idempotent."""
        programs, self._programs = list(self._programs.values()), {}
        await asyncio.gather(*(program.stop() for program in programs))
        if self._shared is not None:
            shared, self._shared = self._shared, None
            await shared.aclose()

    async def _with_session(
        self,
        name: str,
        server: McpServer,
        talk: Callable[[ClientSession], Awaitable[_Result]],
        *,
        timeout: float,
        repeatable: bool,
    ) -> _Result:
        talking = self._on_program if server.transport == "stdio" else self._over_http
        with translated(name, repeatable=repeatable):
            # The inner one ends the call; the outer one also what the SDK does to leave.
            async with asyncio.timeout(timeout + _GRACE), asyncio.timeout(timeout):
                return await talking(name, server, talk)

    async def _over_http(
        self, name: str, server: McpServer, talk: Callable[[ClientSession], Awaitable[_Result]]
    ) -> _Result:
        headers = self._access.headers(name, server)
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # A task of its own: what breaks in the SDK's task groups cancels this one, not ours.
        talking = asyncio.create_task(self._converse(server, headers, failed, talk))
        try:
            either: set[asyncio.Future[Any]] = {talking, failed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                failed.result()
            return talking.result()
        finally:
            talking.cancel()
            # Its own error is seen here, even where the transport's was the one to raise.
            await asyncio.gather(talking, return_exceptions=True)
            failed.cancel()

    async def _converse(
        self,
        server: McpServer,
        headers: Mapping[str, str],
        failed: asyncio.Future[None],
        talk: Callable[[ClientSession], Awaitable[_Result]],
    ) -> _Result:
        if self._shared is None:
            self._shared = shared_transport()
        shared = self._shared
        old = server.transport == "sse"
        mode = "legacy" if old else self._eras.get(server.url, "auto")
        async with http_client(shared, headers, failed, lenient=True) as http:
            transport = (
                sse_client(server.url, httpx_client_factory=_Factory(shared, headers, failed))
                if old
                else streamable_http_client(
                    server.url, http_client=http, max_sse_event_size=MAX_REPLY_BYTES
                )
            )
            try:
                async with Client(transport, mode=mode, cache=None, client_info=_US) as client:
                    self._remember(server, client.protocol_version)
                    return await talk(client.session)
            except MCPError:
                self._eras.pop(server.url, None)  # it may have been replaced by an older one
                raise

    def _remember(self, server: McpServer, version: str) -> None:
        modern = version in MODERN_PROTOCOL_VERSIONS
        self._eras[server.url] = version if modern else "legacy"

    async def _on_program(
        self, name: str, server: McpServer, talk: Callable[[ClientSession], Awaitable[_Result]]
    ) -> _Result:
        variables = self._access.variables(name, server)
        key = (server.command, server.token)
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = Program(server.command, variables)
        try:
            client = await program.client()
            return await talk(client.session)
        except (MCPError, TemporaryError, OSError) as error:
            if not isinstance(error, MCPError) or is_transport_fault(error):
                await self._discard(key, program)
            raise

    async def _discard(self, key: tuple[tuple[str, ...], str], program: Program) -> None:
        """Forget a program that broke: the next call starts another."""
        if self._programs.get(key) is program:
            del self._programs[key]
            await program.stop()


async def _call(
    session: ClientSession, *, params: types.CallToolRequestParams, server: str, list_first: bool
) -> ToolAnswer:
    if list_first:
        await session.list_tools()
    try:
        result = await session.send_request(
            types.CallToolRequest(params=params), types.CallToolResult
        )
    except MCPError as error:
        if is_transport_fault(error):
            raise
        return bounded(error.message, is_error=True)
    if result.result_type != "complete":
        raise PermanentError(
            "ToolRefused",
            f"the tool {params.name!r} of the MCP server {server!r} asks for more input, which an "
            "agent cannot give",
        )
    return answer_of(result)


async def _list(session: ClientSession) -> tuple[AdvertisedTool, ...]:
    found: list[AdvertisedTool] = []
    cursor: str | None = None
    while True:
        params = types.PaginatedRequestParams(cursor=cursor) if cursor else None
        page = await session.list_tools(params=params)
        found += [advertised(tool) for tool in page.tools]
        if not page.next_cursor or page.next_cursor == cursor or len(found) >= MAX_LISTED:
            return tuple(found[:MAX_LISTED])
        cursor = page.next_cursor


class _Factory:
    """How the SDK's client for the old transport wants its HTTP client: made by itself."""

    def __init__(
        self,
        shared: httpx2.AsyncBaseTransport,
        headers: Mapping[str, str],
        failed: asyncio.Future[None],
    ) -> None:
        self._make = functools.partial(http_client, shared, headers, failed, lenient=False)

    def __call__(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        """Ours, whatever the SDK asks for: it would ask for shorter timeouts than the call's."""
        return self._make()
