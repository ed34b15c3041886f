"""A request's raw body, bounded before anything looks at it."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request


async def read_body(request: Request, *, max_bytes: int, seconds: float) -> bytes:
    """Return the body as it was sent.

    Raises:
        HTTPException: 413 too large, as announced or as it arrives; 415 encoded, or not JSON;
            408 too slow; 400 the sender went away.
    """
    _check_headers(request, max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise HTTPException(408, f"the body did not arrive within {seconds:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the body ended early") from None
    return bytes(body)


def _check_headers(request: Request, max_bytes: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise _too_large(max_bytes)
    if "content-encoding" in request.headers:
        raise HTTPException(415, "send the body without Content-Encoding")
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if media_type.lower() != "application/json":
        raise HTTPException(415, "set the webhook's content type to application/json")


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {max_bytes} bytes")
