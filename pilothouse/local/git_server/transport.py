"""Git's smart HTTP: two services, each a git process with the request and response as its pipes.

Nothing is held in memory but a chunk: a push or a clone may be of any size.
"""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pilothouse.local.git_server.commands import end_git, start_git
from pilothouse.local.git_server.repositories import Repositories

SERVICES = frozenset({"git-upload-pack", "git-receive-pack"})
EXCHANGE_SECONDS = 600.0
"""One push or fetch takes no longer; a client that stalls is left."""
GIVE_UP_SECONDS = 5.0
"""How long Git may take to clean up after a client that left; then it is ended."""
_CHUNK = 64 * 1024
_PROTOCOL = re.compile(r"version=[0-2]")
_NO_CACHE = "no-cache, max-age=0, must-revalidate"

_log = structlog.get_logger()


def transport_app(repositories: Repositories, pushed: Callable[[], None]) -> Starlette:
    """Serve repositories to whoever is on this machine.

    Args:
        repositories: what is served.
        pushed: called after each push, accepted or not.
    """
    return Starlette(
        routes=[
            Route("/{name:path}.git/info/refs", _Advertisement(repositories), methods=["GET"]),
            Route("/{name:path}.git/{service}", _Exchange(repositories, pushed), methods=["POST"]),
        ],
        # A page in a browser can make its own host name point here: only our names are answered.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1"])],
    )


class _Advertisement:
    """`GET /<name>.git/info/refs?service=...`: what there is."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(Request(scope, receive))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        repository = self._repositories.find(request.path_params["name"])
        service = request.query_params.get("service", "")
        if repository is None:
            return PlainTextResponse("no such repository", 404)
        if service not in SERVICES:
            return PlainTextResponse("only smart HTTP is spoken here", 403)
        protocol = _protocol(request)
        process = await start_git(
            service.removeprefix("git-"),
            "--stateless-rpc",
            "--advertise-refs",
            str(repository),
            protocol=protocol,
        )
        try:
            async with asyncio.timeout(EXCHANGE_SECONDS):
                refs, _ = await process.communicate()
        finally:
            await end_git(process)
        if process.returncode != 0:
            return PlainTextResponse("the repository cannot be read", 500)
        line = f"# service={service}\n"
        announcement = "" if protocol == "version=2" else f"{len(line) + 4:04x}{line}0000"
        return Response(
            announcement.encode() + refs,
            media_type=f"application/x-{service}-advertisement",
            headers={"Cache-Control": _NO_CACHE},
        )


class _Exchange:
    """`POST /<name>.git/git-upload-pack` and `.../git-receive-pack`."""

    def __init__(self, repositories: Repositories, pushed: Callable[[], None]) -> None:
        self._repositories = repositories
        self._pushed = pushed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        service = request.path_params["service"]
        repository = self._repositories.find(request.path_params["name"])
        if repository is None or service not in SERVICES:
            response = PlainTextResponse("no such repository or service", 404)
            return await response(scope, receive, send)
        # No page in a browser can send this type to another site without asking first.
        if request.headers.get("content-type") != f"application/x-{service}-request":
            return await PlainTextResponse("not a request of Git's", 415)(scope, receive, send)
        process = await start_git(
            service.removeprefix("git-"),
            "--stateless-rpc",
            str(repository),
            protocol=_protocol(request),
            stdin=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(EXCHANGE_SECONDS):
                await _feed(process, _decoded(request))
                await _answer(process, service, send)
        except (ClientDisconnect, zlib.error) as error:
            # Git takes a push whole or not at all. At the end of its input it also cleans up what
            # it has so far; at a signal it does not.
            _log.info("git_server.request_broken", service=service, error=repr(error))
            await _give_up(process)
        finally:
            await end_git(process)
            if service == "git-receive-pack":
                self._pushed()
        return None


async def _feed(process: asyncio.subprocess.Process, body: AsyncIterator[bytes]) -> None:
    assert process.stdin is not None
    try:
        async for chunk in body:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        # Git has heard enough; what it thinks of it is in its answer.
        return


async def _give_up(process: asyncio.subprocess.Process) -> None:
    with suppress(TimeoutError):
        # An empty input, and not none: only then is the pipe closed.
        await asyncio.wait_for(process.communicate(b""), GIVE_UP_SECONDS)


async def _answer(process: asyncio.subprocess.Process, service: str, send: Send) -> None:
    """Send what git says. If the client is gone, git still ends in peace: hooks must run."""
    assert process.stdout is not None
    headers = [
        (b"content-type", f"application/x-{service}-result".encode()),
        (b"cache-control", _NO_CACHE.encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    connected = True
    while chunk := await process.stdout.read(_CHUNK):
        try:
            if connected:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except OSError:
            connected = False
    await process.wait()
    if connected:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _decoded(request: Request) -> AsyncIterator[bytes]:
    if request.headers.get("content-encoding", "") not in {"gzip", "x-gzip"}:
        async for chunk in request.stream():
            yield chunk
        return
    decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    async for chunk in request.stream():
        data = decompressor.decompress(chunk, _CHUNK)
        while data:
            yield data
            data = decompressor.decompress(decompressor.unconsumed_tail, _CHUNK)
    yield decompressor.flush()
    if not decompressor.eof:
        raise zlib.error("the request's body ends early")


def _protocol(request: Request) -> str:
    wanted = request.headers.get("git-protocol", "")
    return wanted if _PROTOCOL.fullmatch(wanted) else ""
