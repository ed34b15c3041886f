"""The faults of model servers, and what becomes of each. The documentation prints this table."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from pilothouse.clients.models import Reply
from pilothouse.models.errors import PermanentError, TemporaryError
from tests.providers.dialects import Call, Dialect
from tests.providers.server import Answer

ELSEWHERE = "http://127.0.0.2:9/v1"
LONG = "word " * 200_000
"""A megabyte."""


@dataclass(frozen=True)
class Fault:
    """One fault."""

    name: str
    answer: Callable[[Dialect], Answer]
    outcome: str
    """As `described` says it."""


def described(outcome: Reply | PermanentError | TemporaryError) -> str:
    """What came of a call, in the words of the table."""
    match outcome:
        case PermanentError():
            return f"final, `{outcome.type}`"
        case TemporaryError(delay=timedelta() as delay):
            return f"retried after {delay.total_seconds():g} s, `{outcome.type}`"
        case TemporaryError():
            return f"retried, `{outcome.type}`"
    calls = [call for call in outcome.message.calls if outcome.stop == "tool_use"]
    if any(call.problem for call in calls):
        return f"`{outcome.stop}`, the call marked unusable"
    return f"`{outcome.stop}`" + (", with a problem" if outcome.problem else "")


def _broken(**changes: object) -> Callable[[Dialect], Answer]:
    return lambda api: replace(api.message(), **changes)  # type: ignore[arg-type]  # by name


def _body(text: bytes) -> Callable[[Dialect], Answer]:
    return lambda api: replace(api.message(), body=text)


def _repeated_keys(api: Dialect) -> Answer:
    answer = api.message(calls=[Call("kube__get", {"name": "first"})])
    plain, twice = ('"name": "first"', '"name": "first", "name": "second"')
    if api.name == "openai":
        plain, twice = json.dumps(plain)[1:-1], json.dumps(twice)[1:-1]
    assert plain.encode() in answer.body
    return replace(answer, body=answer.body.replace(plain.encode(), twice.encode()))


def _unusable_arguments(api: Dialect) -> Answer:
    return api.message(calls=[Call("kube__get", '{"name": ')])


def _error(status: int, **headers: str) -> Callable[[Dialect], Answer]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda api: api.error(status, sent)


RETRIED = "retried, `ModelUnavailable`"
FINAL = "final, `ModelRefused`"

FAULTS = (
    Fault(
        "429, `retry-after: 7`", _error(429, retry_after="7"), f"retried after 7 s, {RETRIED[9:]}"
    ),
    Fault(
        "429, `retry-after: 3600`",
        _error(429, retry_after="3600"),
        f"retried after 60 s, {RETRIED[9:]}",
    ),
    Fault("429, `retry-after: soon`", _error(429, retry_after="soon"), RETRIED),
    Fault("429", _error(429), RETRIED),
    Fault("529 overloaded", _error(529), RETRIED),
    Fault("500", _error(500), RETRIED),
    Fault("503", _error(503), RETRIED),
    Fault("400", _error(400), FINAL),
    Fault("401", _error(401), FINAL),
    Fault("402", _error(402), FINAL),
    Fault("403", _error(403), FINAL),
    Fault("404", _error(404), FINAL),
    Fault("413", _error(413), FINAL),
    Fault("422", _error(422), FINAL),
    Fault(
        "redirect to another host",
        lambda api: Answer(status=307, headers={"location": ELSEWHERE}),
        FINAL,
    ),
    Fault("no answer in time", lambda api: Answer(hang=True), RETRIED),
    Fault("a byte now and then", _broken(seconds_per_byte=0.05), RETRIED),
    Fault("connection reset", lambda api: Answer(reset=True), RETRIED),
    Fault("body cut in the middle", _broken(cut_after=40), RETRIED),
    Fault("body that is no JSON", _body(b'{"type": "message", "content": ['), RETRIED),
    Fault("empty body", _body(b""), RETRIED),
    Fault("JSON nested 100,000 deep", _body(b"[" * 100_000), RETRIED),
    Fault("JSON of another API", _body(b'{"answer": 42}'), RETRIED),
    Fault("HTML with status 200", _broken(content_type="text/html"), RETRIED),
    Fault(
        "compressed although not asked for", _broken(headers={"content-encoding": "gzip"}), FINAL
    ),
    Fault("10 MiB", _body(b" " * (10 << 20)), FINAL),
    Fault("1 MB of text", lambda api: api.message(LONG), "`end_turn`"),
    Fault("unknown fields", lambda api: api.message(novelty={"a": 1}), "`end_turn`"),
    Fault("empty content", lambda api: api.empty(), "`end_turn`"),
    Fault("no usage reported", lambda api: api.message(usage=None), "`end_turn`"),
    Fault("refusal", lambda api: api.refusal(), "`refusal`, with a problem"),
    Fault("cut off at the limit", lambda api: api.cut_off(), "`max_tokens`, with a problem"),
    Fault(
        "tool call, arguments no JSON",
        _unusable_arguments,
        "`tool_use`, the call marked unusable",
    ),
    Fault("tool call, a key twice", _repeated_keys, "`tool_use`, the call marked unusable"),
)
