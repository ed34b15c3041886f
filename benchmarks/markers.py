"""When did every object carry the commit's marker: watches, opened before the push."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from pydantic import JsonValue

from benchmarks.api_server import ApiServer
from benchmarks.four_objects import COLLECTIONS, MARKER


class Arrival(NamedTuple):
    """When the first and the last object were seen with a marker, on the monotonic clock."""

    first: float
    last: float


class Markers:
    """Notes for each marker when each object was first seen with it."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[tuple[str, str], float]] = {}
        self._changed = asyncio.Event()

    async def arrived(self, marker: str, count: int, *, timeout: float) -> Arrival:
        """Wait until so many objects carry the marker.

        Raises:
            TimeoutError: they do not within so many seconds; says how many do.
        """
        try:
            async with asyncio.timeout(timeout):
                while len(self._seen.get(marker, {})) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            have = len(self._seen.get(marker, {}))
            raise TimeoutError(f"{have} of {count} objects carry {marker!r}") from None
        times = self._seen[marker].values()
        return Arrival(min(times), max(times))

    async def follow(self, server: ApiServer, kind: str, path: str) -> None:
        """Watch one collection for as long as nobody cancels it."""
        while True:
            try:
                async for event in server.watch(path):
                    self._note(kind, event)
            except (aiohttp.ClientError, TimeoutError):
                # Servers end watches when they like; the next one begins with what is there.
                await asyncio.sleep(0.2)

    def _note(self, kind: str, event: dict[str, JsonValue]) -> None:
        match event:
            case {"object": {"metadata": {"name": str(name), "annotations": dict(annotations)}}}:
                marker = str(annotations.get(MARKER, ""))
                self._seen.setdefault(marker, {}).setdefault((kind, name), time.monotonic())
                self._changed.set()


@asynccontextmanager
async def watched_markers(server: ApiServer, namespace: str) -> AsyncIterator[Markers]:
    """Watch the four kinds in a namespace."""
    markers = Markers()
    async with asyncio.TaskGroup() as group:
        watches = [
            group.create_task(markers.follow(server, kind, path.format(namespace=namespace)))
            for kind, path in COLLECTIONS.items()
        ]
        yield markers
        for watch in watches:
            watch.cancel()
