"""What can go wrong with an MCP server, mapped once to the two errors that decide retry.

No message quotes the server: what it says about an error may hold a credential or an instruction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import anyio
import httpx2
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    REQUEST_TIMEOUT,
)
from pydantic import ValidationError

from pilothouse.clients.models.transport import ReplyRefusedError
from pilothouse.models.errors import PermanentError, TemporaryError

MAX_DELAY: Final = 60.0
"""Seconds: a server does not decide how long an agent stands still."""
_BROKEN: Final = frozenset({CONNECTION_CLOSED, REQUEST_TIMEOUT, PARSE_ERROR, INTERNAL_ERROR})
_LATER: Final = frozenset({408, 425, 429})
"""Statuses below 500 that ask us to come again."""
_NO_MCP: Final = frozenset({INVALID_REQUEST, METHOD_NOT_FOUND})


class HttpStatusError(Exception):
    """An HTTP status that the MCP SDK would have turned into an internal error without it."""

    def __init__(self, status: int, retry_after: str | None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.retry_after = retry_after


class AnswerRefusedError(PermanentError):
    """The server answered, and we read no further."""


def innermost(error: BaseException) -> BaseException:
    """The one error in nested groups; a group of several is given by its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def is_transport_fault(error: MCPError) -> bool:
    """Whether this tells of the connection, and is not the answer of a tool."""
    return error.code in _BROKEN | _NO_MCP


@contextmanager
def translated(server: str, *, repeatable: bool = True) -> Iterator[None]:
    """Raise our errors for whatever comes out of the SDK, httpx2, anyio or the system.

    Args:
        server: the server's name in the pipeline file.
        repeatable: the call may be sent again. If not, and it may have arrived, it is not known
            whether it took effect: the error is then permanent and says so.
    """
    try:
        yield
    except (PermanentError, TemporaryError):
        raise
    except Exception as error:
        cause = innermost(error)
        fault = _fault(server, cause)
        if fault is None:
            raise
        if isinstance(fault, TemporaryError) and not repeatable and _may_have_arrived(cause):
            raise PermanentError(
                "ToolUnavailable",
                f"{fault}; it is not known whether the call took effect, so it is not repeated",
            ) from None
        raise fault from None


def _fault(server: str, error: BaseException) -> PermanentError | TemporaryError | None:
    where = f"the MCP server {server!r}"
    if isinstance(error, PermanentError | TemporaryError):
        return error
    if isinstance(error, HttpStatusError):
        return _status(where, error)
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return TemporaryError("ToolUnavailable", f"{where} did not answer in time")
    if isinstance(error, MCPError) and error.code in _NO_MCP:
        return _no_mcp(where, f"code {error.code}")
    if isinstance(error, MCPError):
        kind = "did not answer in time" if error.code == REQUEST_TIMEOUT else "broke off"
        return TemporaryError("ToolUnavailable", f"{where} {kind} (code {error.code})")
    if isinstance(error, ValidationError):
        return TemporaryError("ToolUnavailable", f"{where} sent an answer that MCP does not have")
    if isinstance(error, ReplyRefusedError | httpx2.SSEError):
        return AnswerRefusedError(
            "ToolRefused", f"{where} sent an answer that is too large, compressed or malformed"
        )
    if isinstance(error, httpx2.HTTPError | httpx2.StreamError | OSError):
        return TemporaryError(
            "ToolUnavailable", f"{where} cannot be reached ({type(error).__name__})"
        )
    if isinstance(error, anyio.BrokenResourceError | anyio.ClosedResourceError):
        return TemporaryError("ToolUnavailable", f"{where} broke off")
    return None


def _status(where: str, error: HttpStatusError) -> PermanentError | TemporaryError:
    if error.status in {401, 403, 407}:
        return PermanentError(
            "ToolRefused",
            f"{where} refuses us (HTTP {error.status}): check the server's `token` in the pipeline "
            "file and the worker's PILOTHOUSE_MCP_TOKENS",
        )
    if error.status < 500 and error.status not in _LATER:
        return _no_mcp(where, f"HTTP {error.status}")
    return TemporaryError(
        "ToolUnavailable", f"{where} answers HTTP {error.status}", _delay(error.retry_after)
    )


def _no_mcp(where: str, what: str) -> PermanentError:
    return PermanentError(
        "ToolRefused",
        f"{where} does not answer like an MCP server ({what}): check its `url` and `transport`",
    )


def _delay(retry_after: str | None) -> timedelta | None:
    if retry_after is None or not retry_after.isdecimal() or len(retry_after) > 9:
        return None
    return timedelta(seconds=min(float(retry_after), MAX_DELAY))


def _may_have_arrived(error: BaseException) -> bool:
    not_sent = (httpx2.ConnectError, httpx2.ConnectTimeout, ConnectionRefusedError)
    if isinstance(error, HttpStatusError):
        return error.status >= 500 and error.status != 503
    return not isinstance(error, not_sent)
