"""HTTP to model servers: one pool for each worker, bounded replies, no redirects."""

from collections.abc import AsyncIterator

import httpx2

MAX_REPLY_BYTES = 8 * 1024 * 1024
CONNECT_SECONDS = 10.0
_LIMITS = httpx2.Limits(max_connections=64, max_keepalive_connections=16)


class ReplyRefusedError(httpx2.TransportError):
    """We read no further: the reply is too large, or compressed although we asked for plain."""


def model_http_client(proxy: str | None = None) -> httpx2.AsyncClient:
    """The HTTP client for all providers of a worker; building one costs about 35 ms of CPU.

    It follows no redirect, so that a key never travels to another host, and reads neither proxy
    variables nor `.netrc`.
    """
    return httpx2.AsyncClient(
        transport=BoundedTransport(
            httpx2.AsyncHTTPTransport(trust_env=False, limits=_LIMITS, proxy=proxy or None)
        ),
        headers={"accept-encoding": "identity"},
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Passes at most `MAX_REPLY_BYTES` of each reply.

    Compressed replies are refused: a few bytes of them can be gigabytes of text.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request, uncompressed, and bound what comes back."""
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise ReplyRefusedError("the reply is compressed", request=request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # of an asynchronous transport
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_BoundedStream(response.stream, request),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close the pool."""
        await self._inner.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, request: httpx2.Request) -> None:
        self._inner = inner
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > MAX_REPLY_BYTES:
                raise ReplyRefusedError("the reply is too large", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        """Stop reading."""
        await self._inner.aclose()
