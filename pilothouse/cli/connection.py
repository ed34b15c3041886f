"""Which Temporal this command talks to, and which content store belongs to it."""

import json

from temporalio.client import Client

from pilothouse.clients.settings import read_settings, temporal_address, temporal_is_configured
from pilothouse.clients.store import ContentStore
from pilothouse.clients.temporal.connection import TemporalConnection, connect


def connection_here() -> TemporalConnection:
    """Where the `temporal` CLI would look, else the services that `pilothouse up` started."""
    running = _running_here()
    if running and not temporal_is_configured():
        return TemporalConnection(address=running)
    return TemporalConnection()


def store_here() -> ContentStore:
    """The content store of whoever writes the histories that `connect_here` reads.

    That of the services that `pilothouse up` started, if it is their Temporal; else our own.
    """
    settings = read_settings()
    running = _running_here()
    if running and temporal_address() in {"", running}:
        return ContentStore(settings.local_dir / "data" / "store")
    return ContentStore(settings.store_dir)


def _running_here() -> str:
    """The address of Temporal among the services that `pilothouse up` started; empty: none run."""
    running = read_settings().local_dir / "services.json"
    if not running.is_file():
        return ""
    return str(json.loads(running.read_text(encoding="utf-8"))["temporal"])


async def connect_here() -> Client:
    """Connect to the Temporal of `connection_here`.

    Raises:
        TemporaryError: `TemporalUnavailable`, with the address and what to do.
    """
    return await connect(connection_here())
