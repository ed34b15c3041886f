"""A tool's result as text: words and structured content; anything else is only named."""

import json
from collections.abc import Iterable
from typing import Final, NamedTuple

from mcp.types import CallToolResult, TextContent, Tool
from pydantic import BaseModel

from pilothouse.gitops.agents.toolset import AdvertisedTool
from pilothouse.models.tools import ToolHints

MAX_TEXT: Final = 1024 * 1024
"""Characters of one result; the rest is left out."""


class ToolAnswer(NamedTuple):
    """What a tool said: untrusted."""

    text: str
    is_error: bool = False
    cut: int = 0
    """Characters that were left out."""


def answer_of(result: CallToolResult) -> ToolAnswer:
    """The text of a result. Images, sounds and resources are named, never passed on."""
    parts = [
        block.text if isinstance(block, TextContent) else _named(block) for block in result.content
    ]
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    if result.structured_content is not None and not _says(texts, result.structured_content):
        parts.append(json.dumps(result.structured_content, ensure_ascii=False, indent=1))
    return bounded("\n".join(parts), is_error=result.is_error)


def bounded(text: str, *, is_error: bool = False) -> ToolAnswer:
    """At most `MAX_TEXT` characters of a text."""
    return ToolAnswer(text[:MAX_TEXT], is_error, max(0, len(text) - MAX_TEXT))


def advertised(tool: Tool) -> AdvertisedTool:
    """A listed tool in our words."""
    hints = tool.annotations
    return AdvertisedTool(
        name=tool.name,
        description=tool.description or "",
        input_schema=tool.input_schema,
        hints=ToolHints()
        if hints is None
        else ToolHints(
            title=(hints.title or "")[:200],
            read_only=hints.read_only_hint,
            destructive=hints.destructive_hint,
            idempotent=hints.idempotent_hint,
            open_world=hints.open_world_hint,
        ),
    )


def _named(block: BaseModel) -> str:
    kind = getattr(block, "type", "content")
    data = getattr(block, "data", "")
    size = f", {len(data)} characters of base64" if isinstance(data, str) and data else ""
    return f"[{kind}{size}: not shown]"


def _says(texts: Iterable[str], structured: object) -> bool:
    """Whether a text is the structured content once more, as servers should have it."""
    return any(structured == {"result": text} or structured == _json(text) for text in texts)


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
