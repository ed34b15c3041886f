"""Logs for programs: one JSON object a line, with the run they belong to and without secrets.

A program calls `configure_logging` once. Libraries only take `structlog.get_logger()` or
`logging.getLogger()`; both end in the same lines.
"""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger
from temporalio import activity, workflow

from pilothouse.gitops import redaction

REDACTED = "[redacted]"
_MAX_DEPTH = 8
_TALKATIVE = ("anthropic", "httpcore2", "kubernetes", "openai", "urllib3")
"""At debug they log requests and answers whole: Secrets, and what a model is told."""
_QUOTING = ("mcp",)
"""They log whole what they could not parse, as errors: untrusted text."""
_SECRET_KEY = re.compile(
    r"secret|passw|token|authorization|credential|signature|cookie|(api|private|access)_?-?key"
    r"|kubeconfig",
    re.IGNORECASE,
)
# C0, C1 and the marks that turn a line's direction: a log line may not repaint a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def configure_logging(
    level: str = "info",
    json: bool = True,
    *,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send structlog's and the standard library's records to one stream. May be called again.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        json: one JSON object a line; otherwise lines for people.
        secrets: values that this process holds; they appear in no line, wherever they stand.
        stream: by default standard error.

    Raises:
        ValueError: there is no such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"{level!r} is not a log level: use debug, info, warning or error")
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(json, secrets))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(number, logging.INFO))
    for name in _QUOTING:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _formatter(json: bool, secrets: Iterable[str]) -> logging.Formatter:
    renderer: Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if json
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *_SHARED],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            Redactor(secrets, strip_control=not json),
            renderer,
        ],
    )


def add_temporal_context(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add which workflow, run and activity a line belongs to; drop what a replay says again."""
    if activity.in_activity():
        info = activity.info()
        event.setdefault("workflow_id", info.workflow_id)
        event.setdefault("run_id", info.workflow_run_id)
        event.setdefault("activity_type", info.activity_type)
        event.setdefault("attempt", info.attempt)
    elif workflow.in_workflow():
        if workflow.unsafe.is_replaying():
            raise structlog.DropEvent
        running = workflow.info()
        event.setdefault("workflow_id", running.workflow_id)
        event.setdefault("run_id", running.run_id)
    return event


class Redactor:
    """The last processor before rendering: whatever a line was made of, it sees all of it.

    Hides values under secret-looking keys, known values anywhere, and whatever looks like a
    credential. Keys and the line itself stay, so that one sees that something was there.
    """

    def __init__(self, secrets: Iterable[str] = (), *, strip_control: bool = False) -> None:
        self._redactor = redaction.Redactor(secrets)
        self._strip_control = strip_control

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Return the event without secrets."""
        return {key: self._field(key, value, 0) for key, value in event.items()}

    def _field(self, key: object, value: object, depth: int) -> object:
        if isinstance(key, str) and _SECRET_KEY.search(key) and not isinstance(value, bool | int):
            return REDACTED
        return self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth >= _MAX_DEPTH:
            return "[too deep]"
        if isinstance(value, Mapping):
            return {
                self._text(str(key)): self._field(key, item, depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(item, depth + 1) for item in value]
        return self._text(value if isinstance(value, str) else repr(value))

    def _text(self, text: str) -> str:
        text = self._redactor.redact(text).text
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text) if self._strip_control else text


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    add_temporal_context,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
)
"""What every record gets, ours and other libraries'."""
