"""A namespace of one measurement's own, gone again at its end."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import JsonValue

from benchmarks.api_server import ApiServer, Refused

GONE_SECONDS = 180.0
"""How long a cluster may take to empty a namespace of thousands of objects."""


@asynccontextmanager
async def fresh_namespace(server: ApiServer, prefix: str) -> AsyncIterator[str]:
    """Make a namespace; delete it with all that is in it, and wait until it is gone."""
    name = f"{prefix}-{secrets.token_hex(3)}"
    body: dict[str, JsonValue] = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name},
    }
    await server.send("POST", "/api/v1/namespaces", body)
    try:
        yield name
    finally:
        await remove_namespace(server, name)


async def remove_namespace(server: ApiServer, name: str) -> None:
    """Delete a namespace and wait until it is gone; says so if it stays."""
    path = f"/api/v1/namespaces/{name}"
    try:
        async with asyncio.timeout(GONE_SECONDS):
            await server.send("DELETE", path)
            while True:
                await asyncio.sleep(0.5)
                await server.send("GET", path)
    except Refused as refused:
        if refused.code != 404:
            raise
    except TimeoutError:
        sys.stderr.write(f"the namespace {name} is still being deleted\n")
