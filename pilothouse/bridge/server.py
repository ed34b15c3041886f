"""The bridge as a process."""

from collections.abc import Awaitable, Callable

import structlog

from pilothouse.bridge.app import bridge_app
from pilothouse.bridge.configuration import BridgeConfiguration
from pilothouse.bridge.dispatcher import EventSender
from pilothouse.bridge.journal_file import JournalUnavailableError
from pilothouse.clients.serving import bound, serve
from pilothouse.clients.temporal.connection import connect
from pilothouse.clients.temporal.starter import WorkflowStarter
from pilothouse.models.errors import PermanentError

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

    with bound(configuration.host, configuration.port) as listener:
        host, port = listener.getsockname()[:2]
        try:
            async with bridge_app(configuration, connect_sender or to_temporal) as app:
                _log.info("bridge.listening", host=host, port=port)
                await serve(app, listener, max_connections=configuration.max_connections)
        except JournalUnavailableError as error:
            raise PermanentError("InvalidRequest", str(error)) from error
    _log.info("bridge.stopped")
