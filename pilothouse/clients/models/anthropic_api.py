"""The Anthropic Messages API through its SDK: tools, a forced result, prompt caching.

The SDK sends, authenticates and times out; its own retries are off, and the reply is read by us,
because the SDK takes any shape for a message and the last of two equal keys.
"""

import asyncio
import json
from typing import Any

import httpx2
from anthropic import APIConnectionError, APIStatusError, AsyncAnthropic
from anthropic.types import (
    MessageParam,
    TextBlockParam,
    ToolChoiceParam,
    ToolParam,
)
from pydantic import JsonValue, ValidationError

from pilothouse.clients.models.assembly import REPEATED_KEYS, Ending, assemble, call_block
from pilothouse.clients.models.faults import (
    Server,
    check_json,
    connection_fault,
    malformed_fault,
    request_id,
    status_fault,
    timeout_fault,
)
from pilothouse.clients.models.provider import Prompt, Reply
from pilothouse.clients.models.result_tool import spoken_limits
from pilothouse.clients.models.strict_json import MalformedError, clean_text, parse_object
from pilothouse.models.base import Contract
from pilothouse.models.conversations import (
    Block,
    OpaqueBlock,
    TextBlock,
    ToolCallBlock,
    ToolDefinition,
    ToolResultBlock,
)
from pilothouse.models.model_calls import Usage

OFFICIAL_URL = "https://api.anthropic.com"
_PROVIDER = "anthropic"
_REPEATED = {"arguments": {}, "problem": REPEATED_KEYS}
_ENDINGS: dict[str, Ending] = {
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "refusal": "refusal",
}
"""Every other stop reason is a whole reply: what it asks for stands in its blocks."""


class AnthropicProvider:
    """One model behind the Messages API."""

    def __init__(
        self, model: str, *, server: Server, base_url: str, key: str, http: httpx2.AsyncClient
    ) -> None:
        self._model = model
        self._server = server
        self._client = AsyncAnthropic(
            api_key=key,
            base_url=base_url or OFFICIAL_URL,
            max_retries=0,
            http_client=http,
            open_telemetry=False,  # its spans can hold prompts
        )

    async def complete(self, prompt: Prompt) -> Reply:
        """Ask once; see `Provider.complete`."""
        try:
            async with asyncio.timeout(prompt.timeout):
                raw = await self._client.messages.with_raw_response.create(
                    model=self._model,
                    max_tokens=prompt.max_output_tokens,
                    system=_system(prompt.conversation.system),
                    messages=_messages(prompt),
                    tools=_tools(prompt),
                    tool_choice=_tool_choice(prompt),
                    # The conversation only grows: its end is where the next call goes on.
                    cache_control={"type": "ephemeral"},
                    timeout=prompt.timeout,
                )
        except TimeoutError:
            raise timeout_fault(self._server, prompt.timeout) from None
        except APIStatusError as error:
            raise status_fault(self._server, error.response) from None
        except APIConnectionError as error:
            raise connection_fault(self._server, error) from None
        response = raw.http_response
        try:
            check_json(response)
            return _reply(prompt, response)
        except MalformedError as error:
            raise malformed_fault(self._server, error, response) from None


def _system(text: str) -> list[TextBlockParam]:
    # The tools stand before the system prompt, so this one mark caches both.
    if not text.strip():
        return []
    return [{"type": "text", "text": clean_text(text), "cache_control": {"type": "ephemeral"}}]


def _tools(prompt: Prompt) -> list[ToolParam]:
    result = _tool(prompt.result)
    result["input_schema"] = dict(spoken_limits(prompt.result.input_schema))
    return [*map(_tool, prompt.tools), {**result, "strict": True}]


def _tool(tool: ToolDefinition) -> ToolParam:
    return {
        "name": tool.name,
        "description": clean_text(tool.description),
        "input_schema": dict(tool.input_schema),
    }


def _tool_choice(prompt: Prompt) -> ToolChoiceParam:
    if not prompt.force_result:
        return {"type": "auto"}
    return {"type": "tool", "name": prompt.result.name, "disable_parallel_tool_use": True}


def _messages(prompt: Prompt) -> list[MessageParam]:
    sent: list[MessageParam] = []
    for message in prompt.conversation.settled().messages:
        content = [part for block in message.blocks if (part := _content(block))]
        if not content:
            continue
        if message.role == "assistant":
            sent.append({"role": "assistant", "content": content})
        else:
            sent.append({"role": "user", "content": content})
    return sent


def _content(block: Block) -> Any:  # one of a dozen TypedDicts, or nothing to be sent
    match block:
        case TextBlock() if block.text.strip():
            return {"type": "text", "text": clean_text(block.text)}
        case ToolCallBlock():
            return {
                "type": "tool_use",
                "id": block.id,
                "name": block.name,
                "input": block.arguments,
            }
        case ToolResultBlock():
            return {
                "type": "tool_result",
                "tool_use_id": block.id,
                "content": clean_text(block.text),
                "is_error": block.is_error,
            }
        case OpaqueBlock(provider="anthropic"):
            return block.data
        case _:
            return None


class _Usage(Contract):
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None = 0
    cache_creation_input_tokens: int | None = 0


def _reply(prompt: Prompt, response: httpx2.Response) -> Reply:
    body, repeated = parse_object(response.content)
    content = body.get("content")
    if body.get("type") != "message" or not isinstance(content, list):
        raise MalformedError("is no message")
    return assemble(
        prompt,
        [_block(part, repeated) for part in content],
        _ENDINGS.get(str(body.get("stop_reason")), "whole"),
        _usage(body.get("usage")),
        model=str(body.get("model") or ""),
        request_id=request_id(response),
    )


def _block(part: JsonValue, repeated: bool) -> Block:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise MalformedError("holds a block without a type")
    match part:
        case {"type": "text", "text": str(text)}:
            return TextBlock(text=text)
        case {"type": "tool_use", "name": str(name)}:
            block = call_block(str(part.get("id") or ""), name, json.dumps(part.get("input")))
            # Which object repeated a key is not known here; then no call in the reply is certain.
            return block.model_copy(update=_REPEATED) if repeated else block
        case {"type": "text" | "tool_use"}:
            raise MalformedError("holds a block without its content")
        case _:
            return OpaqueBlock(provider=_PROVIDER, data=part)


def _usage(value: JsonValue) -> Usage | None:
    try:
        usage = _Usage.model_validate(value)
    except ValidationError:
        return None
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    if min(usage.input_tokens, usage.output_tokens, read, written) < 0:
        return None
    return Usage(
        calls=1,
        input_tokens=usage.input_tokens + read + written,
        output_tokens=usage.output_tokens,
        cached_tokens=read,
        cache_write_tokens=written,
    )
