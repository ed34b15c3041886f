"""Faults of model servers, mapped once to the two errors that decide retry.

No message quotes what a server said: a refusal may hold the prompt, or part of the key. What helps
is said in words of ours, with the status, the server's error code and its request id.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import isfinite

import httpx2

from pilothouse.clients.models.strict_json import MalformedError, parse_object
from pilothouse.clients.models.transport import MAX_REPLY_BYTES, ReplyRefusedError
from pilothouse.models.errors import PermanentError, TemporaryError

MAX_DELAY = timedelta(seconds=60)
"""However long a server asks us to wait: the workflow's own budget of time decides beyond that."""
REQUEST_ID_HEADERS = ("request-id", "x-request-id")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_TEMPORARY = frozenset({408, 409, 425, 429})
_NO_MONEY = frozenset({"insufficient_quota", "billing_error", "billing_hard_limit_reached"})
_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})

Fault = PermanentError | TemporaryError


@dataclass(frozen=True, slots=True)
class Server:
    """Whom we talk to, as messages name it."""

    name: str
    """The word before the colon in `model`."""
    key_variable: str
    url_variable: str


def status_fault(server: Server, response: httpx2.Response, *, status: int = 0) -> Fault:
    """What an answer that is no success means.

    Args:
        server: who answered.
        response: its answer, read.
        status: if the true status stands in the body, as some gateways do it.
    """
    status = status or response.status_code
    code = _error_code(response)
    said = _said(server, status, code, request_id(response))
    if code in _NO_MONEY:
        return PermanentError("ModelRefused", f"{said}: the account has no credit left")
    if code in _TOO_LONG:
        return PermanentError(
            "ModelRefused", f"{said}: the conversation is longer than the model's context"
        )
    if status in _TEMPORARY or status >= 500:
        return TemporaryError("ModelUnavailable", said, delay=_retry_after(response))
    return PermanentError("ModelRefused", f"{said}: {_advice(server, status)}")


def connection_fault(server: Server, error: BaseException) -> Fault:
    """What a call that got no whole answer means."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ReplyRefusedError):
            return PermanentError(
                "ModelRefused",
                f"{server.name} sent a reply of more than {MAX_REPLY_BYTES >> 20} MiB, or a "
                f"compressed one: is {server.url_variable} right?",
            )
        error, cause = cause, cause.__cause__
    return TemporaryError(
        "ModelUnavailable",
        f"the connection to {server.name} failed ({type(error).__name__}): check the network and "
        f"{server.url_variable}",
    )


def timeout_fault(server: Server, seconds: float) -> TemporaryError:
    """The whole answer was not here in time."""
    return TemporaryError("ModelUnavailable", f"{server.name} did not answer within {seconds:g} s")


def malformed_fault(
    server: Server, error: MalformedError, response: httpx2.Response
) -> TemporaryError:
    """A success whose body is not what the API promises."""
    said = _said(server, response.status_code, "", request_id(response))
    return TemporaryError(
        "ModelUnavailable", f"{said}, but the reply {error}: is {server.url_variable} right?"
    )


def check_json(response: httpx2.Response) -> None:
    """Refuse a success that does not even claim to be JSON.

    Raises:
        MalformedError: its content type is something else, e.g. a login page.
    """
    kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if not kind.endswith("json"):
        raise MalformedError("is not JSON by its content type")


def request_id(response: httpx2.Response) -> str:
    """The server's id of this request, if it has the form of an id."""
    for name in REQUEST_ID_HEADERS:
        value = response.headers.get(name, "")
        if _IDENTIFIER.fullmatch(value):
            return value
    return ""


def _said(server: Server, status: int, code: str, request: str) -> str:
    details = [part for part in (code, f"request {request}" if request else "") if part]
    return f"{server.name} answered {status}" + (f" ({', '.join(details)})" if details else "")


def _advice(server: Server, status: int) -> str:
    if 300 <= status < 400:
        return f"it redirects, which is not followed: correct {server.url_variable}"
    match status:
        case 401:
            return f"set {server.key_variable} for the agents worker to a valid key"
        case 402:
            return "the account has no credit left"
        case 403:
            return f"the key in {server.key_variable} may not use this model"
        case 404:
            return f"correct `model` in the pipeline file, or {server.url_variable}"
        case 413:
            return "the conversation is too large for it: give the agent less, or fewer turns"
        case _:
            return "it does not accept the request: does the model exist, and know tools?"


def _error_code(response: httpx2.Response) -> str:
    """The most exact error code in the body, if it has the form of one."""
    try:
        body, _ = parse_object(response.content)
    except MalformedError:
        return ""
    error = body.get("error")
    if not isinstance(error, dict):
        return ""
    details = error.get("details")
    inner = details.get("error_code") if isinstance(details, dict) else None
    for code in (inner, error.get("code"), error.get("type")):
        if isinstance(code, str) and _IDENTIFIER.fullmatch(code):
            return code
    return ""


def _retry_after(response: httpx2.Response) -> timedelta | None:
    """How long the server asks us to wait, in seconds or until a date; at most `MAX_DELAY`."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (_aware(parsedate_to_datetime(value)) - datetime.now(UTC)).total_seconds()
        except (ValueError, OverflowError):
            return None
    if not isfinite(seconds) or seconds < 0:
        return None
    return timedelta(seconds=min(seconds, MAX_DELAY.total_seconds()))


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
