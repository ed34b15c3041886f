"""How the small texts of the pipeline file are written, for us and for editors."""

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

_CRON_FIELD = r"[0-9*/,-]+"
TRIGGER = re.compile(
    r"webhook\.(push|pull_request)|status\.[a-z0-9_]+|manual"
    rf"|cron\.([1-9][0-9]{{0,5}}(s|m|min|h|d)|{_CRON_FIELD}( {_CRON_FIELD}){{4}})"
)


def written(pattern: str, *examples: str) -> WithJsonSchema:
    """For editors: how a text is written that a validator checks."""
    return WithJsonSchema({
        "type": "string",
        "pattern": f"^({pattern})$",
        "examples": list(examples),
    })


MODEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,63}):[!-~]{1,135}")
"""`provider:model`, with the provider as its group."""

Model = Annotated[str, written(f"({MODEL.pattern})?", "anthropic:NAME", "ollama:qwen3:8b")]
Trigger = Annotated[
    str, written(TRIGGER.pattern, "webhook.pull_request", "status.validated", "cron.5min")
]


def _is_path(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/") or "\\" in text or not text:
        raise ValueError("expected a path inside the repository, without '..'")
    return text.strip("/")


RelativePath = Annotated[str, AfterValidator(_is_path)]
