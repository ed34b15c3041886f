"""The bridge as a process: bind, serve, and stop cleanly when asked."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.applications import Starlette

from pilothouse.bridge.app import bridge_app
from pilothouse.bridge.configuration import BridgeConfiguration
from pilothouse.bridge.dispatcher import EventSender
from pilothouse.bridge.journal_file import JournalUnavailableError
from pilothouse.clients.temporal.connection import connect
from pilothouse.clients.temporal.starter import WorkflowStarter
from pilothouse.models.errors import PermanentError

GRACE_SECONDS = 10
"""How long requests in flight may take at the end."""

_log = structlog.get_logger()


async def run_bridge(
    configuration: BridgeConfiguration,
    *,
    connect_sender: Callable[[], Awaitable[EventSender]] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and return.

    Args:
        configuration: everything that the bridge needs to know.
        connect_sender: the way to Temporal, if not `configuration.temporal`.

    Raises:
        PermanentError: `InvalidRequest`, the address cannot be bound, or the journal not opened.
    """

    async def to_temporal() -> EventSender:
        return WorkflowStarter(await connect(configuration.temporal))

    with _bound(configuration) as listener:
        try:
            async with bridge_app(configuration, connect_sender or to_temporal) as app:
                await _serve(app, listener, configuration.max_connections)
        except JournalUnavailableError as error:
            raise PermanentError("InvalidRequest", str(error)) from error
    _log.info("bridge.stopped")


class _Server(uvicorn.Server):
    """Uvicorn raises the signal again when it has stopped, which would end us before our own stop.

    So its handlers stay out, and ours tell it to exit.
    """

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def _serve(app: Starlette, listener: socket.socket, max_connections: int) -> None:
    server = _Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
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
    host, port = listener.getsockname()[:2]
    _log.info("bridge.listening", host=host, port=port)
    try:
        await server.serve(sockets=[listener])
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


@contextmanager
def _bound(configuration: BridgeConfiguration) -> Generator[socket.socket, None, None]:
    host, port = configuration.host, configuration.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise PermanentError(
            "InvalidRequest",
            f"the bridge cannot listen on {host} port {port}: {error.strerror or error}. Stop what "
            "holds it, or choose another port",
        ) from error
    with listener:
        yield listener
