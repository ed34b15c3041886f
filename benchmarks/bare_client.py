"""The reference: list, dry-run and apply of the same objects, with nothing around it.

    python -m benchmarks.bare_client --kubeconfig F --count N [--concurrency C]

N four-object applications are applied once (`install_s`), then changed and applied again: one list
of each kind, a server-side dry-run of every object, a server-side apply of every object. No Git,
no rendering, no checks, no comparison, no record. One line of JSON.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pydantic import JsonValue

from benchmarks.api_server import APPLY, ApiServer
from benchmarks.four_objects import COLLECTIONS, objects
from benchmarks.namespaces import fresh_namespace
from pilothouse.clients.cluster.parallel import CONCURRENCY

_PAGE = 500


async def measure(kubeconfig: Path, count: int, concurrency: int) -> dict[str, object]:
    """Apply twice and say how long each part took."""
    async with (
        await ApiServer.connect(kubeconfig, connections=concurrency) as server,
        fresh_namespace(server, "bare-client-bench") as namespace,
    ):
        client = _BareClient(server, namespace, concurrency)
        first = objects(count, "m0", namespace)
        install = await _timed(lambda: client.apply(first))
        second = objects(count, "m1", namespace)
        listed = await _timed(client.list)
        rehearsed = await _timed(lambda: client.apply(second, dry_run=True))
        applied = await _timed(lambda: client.apply(second))
    update = listed + rehearsed + applied
    return {
        "objects": len(second),
        "concurrency": concurrency,
        "install_s": round(install, 2),
        "list_s": round(listed, 2),
        "dry_run_s": round(rehearsed, 2),
        "apply_s": round(applied, 2),
        "update_s": round(update, 2),
        "objects_per_s": round(len(second) / update, 1),
    }


class _BareClient:
    def __init__(self, server: ApiServer, namespace: str, concurrency: int) -> None:
        self._server = server
        self._namespace = namespace
        self._gate = asyncio.Semaphore(concurrency)

    async def list(self) -> None:
        """Read every object of the four kinds, a page at a time."""
        for collection in COLLECTIONS.values():
            query = {"limit": str(_PAGE)}
            while True:
                path = collection.format(namespace=self._namespace)
                answer = json.loads(await self._server.send("GET", path, query=query))
                if not (following := answer["metadata"].get("continue")):
                    break
                query["continue"] = following

    async def apply(self, bodies: Sequence[dict[str, JsonValue]], *, dry_run: bool = False) -> None:
        """Apply all of them, so many at a time."""
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(self._one(body, dry_run=dry_run))

    async def _one(self, body: dict[str, JsonValue], *, dry_run: bool) -> None:
        query = {"fieldManager": "bare-client"} | ({"dryRun": "All"} if dry_run else {})
        match body:
            case {"kind": str(kind), "metadata": {"name": str(name)}}:
                collection = COLLECTIONS[kind].format(namespace=self._namespace)
                async with self._gate:
                    answer = await self._server.send(
                        "PATCH", f"{collection}/{name}", body, query=query, content_type=APPLY
                    )
                    json.loads(answer)


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    started = time.monotonic()
    await work()
    return time.monotonic() - started


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100, help="applications of four objects")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, help="requests at once")
    options = parser.parse_args()
    line = asyncio.run(measure(options.kubeconfig, options.count, options.concurrency))
    sys.stdout.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
