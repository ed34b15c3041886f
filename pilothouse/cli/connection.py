"""Which Temporal this command talks to."""

import json

from temporalio.client import Client

from pilothouse.clients.settings import read_settings, temporal_is_configured
from pilothouse.clients.temporal.connection import TemporalConnection, connect


async def connect_here() -> Client:
    """Connect as the `temporal` CLI would, else to the services that `pilothouse up` started.

    Raises:
        TemporaryError: `TemporalUnavailable`, with the address and what to do.
    """
    connection = TemporalConnection()
    running = read_settings().local_dir / "services.json"
    if not temporal_is_configured() and running.is_file():
        address = json.loads(running.read_text(encoding="utf-8"))["temporal"]
        connection = TemporalConnection(address=address)
    return await connect(connection)
