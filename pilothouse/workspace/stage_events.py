"""Files that say that a stage has ended: only keys that may end it write them."""

import json
import re
from typing import Final

from pydantic import ValidationError

from pilothouse.models import names
from pilothouse.models.base import Contract, explain
from pilothouse.models.errors import PermanentError
from pilothouse.models.repository import Revision
from pilothouse.workspace.keys import ApiKey

_EVENT_FILE: Final = re.compile(r"status/(?P<event>[a-z0-9_]{1,64})\.json", re.IGNORECASE)
_KNOWN: Final = frozenset({
    *("validated", "rejected", "tests_passed", "tests_failed", "deployed", "rolled_back"),
    *("deploy_failed", "healthy", "degraded"),
})
_RUN: Final = re.compile(r"push|manual|pull-[0-9]{1,9}")


class StageEnd(Contract):
    """What an event's file must say, beside whatever else its writer puts there."""

    revision: Revision
    """The revision that the run is about: a verdict on another one counts for nothing."""
    event: str = "push"
    """Which run of it: `push`, `manual` or `pull-<number>`."""


def event_of(path: str, key: ApiKey) -> str:
    """The event that writing this path would emit; empty for every other file.

    Args:
        path: in the repository.
        key: whose own events count, whatever they are called.
    """
    match = _EVENT_FILE.fullmatch(path)
    if match is None:
        return ""
    event = match["event"].lower()
    known = event in _KNOWN or event.endswith(("_passed", "_failed"))
    return event if known or f"emit:{event}" in key.scopes else ""


def check_event(path: str, key: ApiKey, *, by_writing: bool) -> str:
    """Refuse a change of an event's file by a key that may not end the stage.

    Args:
        path: what changes.
        key: who changes it.
        by_writing: whether it is written in full; an event is never copied, moved or deleted.

    Returns:
        The event that the write emits; empty if it is an ordinary file.

    Raises:
        PermanentError: `ToolRefused`.
    """
    event = event_of(path, key)
    if event and f"emit:{event}" not in key.scopes:
        raise PermanentError(
            "ToolRefused", f"/{path} ends a stage: that needs a key with the scope emit:{event}"
        )
    if event and not by_writing:
        raise PermanentError("ToolRefused", f"/{path} ends a stage: write it with write_file")
    return event


def stage_end(content: str) -> StageEnd:
    """Read what an event's file says about its run.

    Raises:
        PermanentError: `ToolRefused`, it is no JSON object with a full `revision`.
    """
    try:
        end = StageEnd.model_validate(json.loads(content))
    except (ValueError, RecursionError) as error:
        why = explain(error) if isinstance(error, ValidationError) else "it is not JSON"
        raise PermanentError(
            "ToolRefused", f'expected {{"revision": "<full commit id>", "event": "push"}}: {why}'
        ) from None
    if not _RUN.fullmatch(end.event):
        raise PermanentError("ToolRefused", "event is `push`, `manual` or `pull-<number>`")
    return end


def run_of(slug: str, end: StageEnd) -> str:
    """The workflow id of the run whose stage has ended."""
    return names.pipeline_id(slug, end.event, end.revision)
