"""Which Temporal this command talks to."""

import json

from temporalio.client import Client

from pilothouse.clients.settings import read_settings, temporal_is_configured
from pilothouse.clients.temporal.connection import TemporalConnection, connect


def connection_here() -> TemporalConnection:
    """Where the `temporal` CLI would look, else the services that `pilothouse up` started."""
    running = read_settings().local_dir / "services.json"
    if not temporal_is_configured() and running.is_file():
        address = json.loads(running.read_text(encoding="utf-8"))["temporal"]
        return TemporalConnection(address=address)
    return TemporalConnection()


async def connect_here() -> Client:
    """Connect to the Temporal of `connection_here`.

    Raises:
        TemporaryError: `TemporalUnavailable`, with the address and what to do.
    """
    return await connect(connection_here())
