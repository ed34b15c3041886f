"""An ASGI application as a process: bind, serve, and stop cleanly when asked."""

import asyncio
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from pilothouse.models.errors import PermanentError

GRACE_SECONDS = 10
"""How long requests in flight may take at the end."""
MAX_CONNECTIONS = 256


class _Server(uvicorn.Server):
    """Uvicorn raises the signal again when it has stopped, which would end us before our own stop.

    So its handlers stay out, and ours tell it to exit.
    """

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve(
    app: ASGIApp, listener: socket.socket, *, max_connections: int = MAX_CONNECTIONS
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and return.

    Args:
        app: with its own lifespan, if it has one.
        listener: bound, and closed by the caller.
        max_connections: beyond that, connections are answered 503.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="auto",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here depends on who the peer says it is
            limit_concurrency=max_connections,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, stop)
    try:
        await server.serve(sockets=[listener])
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


@contextmanager
def bound(host: str, port: int) -> Generator[socket.socket]:
    """A listening socket; port 0 takes a free one.

    Raises:
        PermanentError: `InvalidRequest`, the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise PermanentError(
            "InvalidRequest",
            f"cannot listen on {host} port {port}: {error.strerror or error}. Stop what holds it, "
            "or choose another port",
        ) from error
    with listener:
        yield listener
