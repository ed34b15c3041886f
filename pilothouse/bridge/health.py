"""Whether the bridge lives, and whether it can accept."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse

from pilothouse.bridge.dispatcher import Dispatcher
from pilothouse.bridge.journal import Journal
from pilothouse.bridge.journal_file import Backlog, JournalUnavailableError

PROBE_SECONDS = 1.0
"""A probe waits for the disk; however often it is asked for, it is made this often at most."""


class Health:
    """Two answers for whoever watches. They name no repository and no address."""

    def __init__(self, journal: Journal, dispatcher: Dispatcher) -> None:
        self._journal = journal
        self._dispatcher = dispatcher
        self._lock = asyncio.Lock()
        self._probed_at = float("-inf")
        self._backlog: Backlog | None = None

    async def alive(self, request: Request) -> JSONResponse:
        """`GET /healthz`: the event loop turns."""
        return JSONResponse({"alive": True})

    async def ready(self, request: Request) -> JSONResponse:
        """`GET /readyz`: 200 while events can be accepted, also with Temporal away; else 503."""
        backlog = await self._probe()
        if backlog is None:
            return JSONResponse({"ready": False, "journal": "unavailable"}, status_code=503)
        return JSONResponse({
            "ready": True,
            "journal": "writable",
            "temporal": {
                "available": not self._dispatcher.troubled,
                "pending": backlog.pending,
                "refused": backlog.refused,
                "oldest_seconds": round(backlog.oldest_seconds, 1),
            },
        })

    async def _probe(self) -> Backlog | None:
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now >= self._probed_at + PROBE_SECONDS:
                try:
                    await self._journal.probe()
                    self._backlog = await self._journal.backlog()
                except JournalUnavailableError:
                    self._backlog = None  # the answer says so, and each refused event logs why
                self._probed_at = asyncio.get_running_loop().time()
            return self._backlog
