"""HTTP to MCP servers: one pool for each worker; statuses that keep their meaning."""

import asyncio
from collections.abc import Container, Mapping
from typing import Any, Final

import httpx2

from pilothouse.clients.mcp.faults import HttpStatusError
from pilothouse.clients.models.transport import BoundedTransport

CONNECT_SECONDS: Final = 5.0
FAREWELL_SECONDS: Final = 2.0
"""For the DELETE that ends an old session: nobody waits for it longer."""
_TELLING: Final = frozenset({401, 403, 407, 408, 425, 429})
"""Statuses, besides 5xx, at which nothing in the body matters to us. Others (400, 404, 405) are how
old servers say that they do not know a newer protocol: the SDK has to see them."""


def shared_transport() -> httpx2.AsyncBaseTransport:
    """The connections of one worker to all its MCP servers; building it costs about 35 ms of CPU.

    Replies are bounded, and neither proxy variables nor `.netrc` are read.
    """
    limits = httpx2.Limits(max_connections=64, max_keepalive_connections=16)
    return BoundedTransport(httpx2.AsyncHTTPTransport(trust_env=False, limits=limits))


def http_client(
    shared: httpx2.AsyncBaseTransport,
    headers: Mapping[str, str],
    failed: asyncio.Future[None],
    *,
    lenient: bool,
) -> httpx2.AsyncClient:
    """A light client for one call, over the shared connections.

    `failed` gets the first error of a POST: the SDK's SSE client only logs those, and would leave
    its caller waiting. With `lenient`, statuses by which an old server says that it does not know
    a newer protocol are passed to the SDK.
    """
    return httpx2.AsyncClient(
        transport=_Guarded(shared, failed, _TELLING if lenient else range(300, 500)),
        headers=dict(headers),
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


class _Guarded(httpx2.AsyncBaseTransport):
    """Raises for statuses, reports errors, and leaves the shared connections open."""

    def __init__(
        self,
        shared: httpx2.AsyncBaseTransport,
        failed: asyncio.Future[None],
        telling: Container[int],
    ) -> None:
        self._shared = shared
        self._failed = failed
        self._telling = telling

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":
            timeout: dict[str, Any] = dict.fromkeys(
                ("connect", "read", "write", "pool"), FAREWELL_SECONDS
            )
            request.extensions = {**request.extensions, "timeout": timeout}
        try:
            response = await self._shared.handle_async_request(request)
            if request.method != "DELETE" and (
                response.status_code >= 500 or response.status_code in self._telling
            ):
                retry_after = response.headers.get("retry-after")
                await response.aclose()
                raise HttpStatusError(response.status_code, retry_after)
        except (HttpStatusError, httpx2.TransportError) as error:
            if request.method == "POST" and not self._failed.done():
                self._failed.set_exception(error)
                self._failed.exception()  # it has been seen, even if nobody waits for it
            raise
        return response

    async def aclose(self) -> None:
        """Nothing: the shared connections outlive a call."""
