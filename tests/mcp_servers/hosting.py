"""The test server over HTTP in this process, behind faults that a test turns on."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.mcp_servers.server import World, build


@dataclass
class Fault:
    """What stands between the client and the server."""

    status: int = 0
    """Answer each POST with it; 0: let it through."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    """Answer each POST with 200 and this."""
    content_type: str = "application/json"
    hang: bool = False
    token: str = ""
    """Answer 401 without it."""
    location: str = ""
    posts: int = 0
    authorization: str = ""
    """The last one that was sent."""


@dataclass
class Hosted:
    """A running server."""

    url: str
    world: World
    fault: Fault
    server: uvicorn.Server

    def drop(self) -> None:
        """Close every connection at once, as a killed process does."""
        for connection in list(self.server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


class Faulty:
    """ASGI in front of the server."""

    def __init__(self, app: ASGIApp, fault: Fault) -> None:
        self._app = app
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        fault = self._fault
        fault.posts += 1
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        fault.authorization = headers.get("authorization", "")
        if fault.hang:
            await asyncio.sleep(60)
        if fault.token and fault.authorization != f"Bearer {fault.token}":
            await answer(send, 401, b"{}", ())
        elif fault.location:
            await answer(send, 307, b"", (("location", fault.location),))
        elif fault.status:
            await answer(send, fault.status, b'{"secret": "canary"}', fault.headers)
        elif fault.body is not None:
            kind = (("content-type", fault.content_type),)
            await answer(send, 200, fault.body, kind)
        else:
            await self._app(scope, receive, send)


async def answer(
    send: Send, status: int, body: bytes, headers: tuple[tuple[str, str], ...]
) -> None:
    """One whole answer."""
    raw = [(name.encode(), value.encode()) for name, value in headers]
    start: Message = {"type": "http.response.start", "status": status, "headers": raw}
    await send(start)
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def hosted(
    world: World | None = None, *, transport: str = "streamable-http", json: bool = True
) -> AsyncIterator[Hosted]:
    """A server on a free port of this machine."""
    world = world or World()
    fault = Fault()
    server = build(world)
    app = server.sse_app() if transport == "sse" else server.streamable_http_app(json_response=json)
    # The protocol by its name: without it asyncio leaves Nagle's delay of 40 ms on.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            Faulty(app, fault), log_level="critical", timeout_graceful_shutdown=1, lifespan="on"
        )
        running = uvicorn.Server(config)
        task = asyncio.create_task(running.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(10):
                while not running.started:
                    await asyncio.sleep(0.01)
            path = "/sse" if transport == "sse" else "/mcp"
            yield Hosted(f"http://127.0.0.1:{port}{path}", world, fault, running)
        finally:
            running.should_exit = True
            running.force_exit = True
            with suppress(asyncio.CancelledError):
                await task
