"""The way to Temporal: opened when first needed, and again after it failed."""

import asyncio
from collections.abc import Awaitable, Callable

from pilothouse.clients.temporal.connection import TemporalConnection, connect
from pilothouse.clients.temporal.requests import WorkspaceRequests

Requests = Callable[[], Awaitable[WorkspaceRequests]]


class TemporalRequests:
    """Files can be read and written while Temporal is away; locks and deployments cannot."""

    def __init__(self, connection: TemporalConnection) -> None:
        self._connection = connection
        self._opened: WorkspaceRequests | None = None
        self._opening = asyncio.Lock()

    async def __call__(self) -> WorkspaceRequests:
        """Connect once; the client reconnects by itself.

        Raises:
            TemporaryError: `TemporalUnavailable`.
            PermanentError: `InvalidRequest`, the configuration is wrong.
        """
        async with self._opening:
            if self._opened is None:
                self._opened = WorkspaceRequests(await connect(self._connection))
        return self._opened
