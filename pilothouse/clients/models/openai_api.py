"""The OpenAI chat completions API, at OpenAI or anywhere else that speaks it.

The forced result is asked for as a JSON schema response, not as a forced tool call: OpenAI, Gemini,
vLLM, Ollama and llama.cpp all enforce the former, and not all of them the latter.
"""

import asyncio
import json

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, Omit, omit
from openai.types.chat import (
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageFunctionToolCallParam,
    ChatCompletionMessageParam,
)
from openai.types.shared_params import ResponseFormatJSONSchema
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
    Message,
    TextBlock,
    ToolCallBlock,
    ToolDefinition,
    ToolResultBlock,
)
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.model_calls import Usage

OFFICIAL_URL = "https://api.openai.com/v1"
_NO_KEY = "none"
"""What servers without keys are sent: the SDK insists on one."""
_ENDINGS: dict[str, Ending] = {"length": "max_tokens", "content_filter": "refusal"}


class OpenAIProvider:
    """One model behind the chat completions API."""

    def __init__(
        self,
        model: str,
        *,
        server: Server,
        base_url: str,
        key: str,
        http: httpx2.AsyncClient,
        most_tokens: int | None = None,
    ) -> None:
        self._model = model
        self._most_tokens = most_tokens
        self._server = server
        self._official = not base_url
        self._client = AsyncOpenAI(
            api_key=key or _NO_KEY,
            base_url=base_url or OFFICIAL_URL,
            max_retries=0,
            http_client=http,
        )
        # The SDK takes these from the environment, and would tell them to any server.
        self._client.organization = self._client.project = None

    async def complete(self, prompt: Prompt) -> Reply:
        """Ask once; see `Provider.complete`."""
        # OpenAI's newer models refuse the old name, many other servers know only that.
        most = min(prompt.max_output_tokens, self._most_tokens or prompt.max_output_tokens)
        newer, older = (most, omit) if self._official else (omit, most)
        try:
            async with asyncio.timeout(prompt.timeout):
                raw = await self._client.chat.completions.with_raw_response.create(
                    model=self._model,
                    messages=_messages(prompt),
                    tools=_tools(prompt),
                    response_format=_response_format(prompt, official=self._official),
                    max_completion_tokens=newer,
                    max_tokens=older,
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
            return _reply(prompt, self._server, response)
        except MalformedError as error:
            raise malformed_fault(self._server, error, response) from None


def _tools(prompt: Prompt) -> list[ChatCompletionFunctionToolParam] | Omit:
    if prompt.force_result:
        return omit
    return [*map(_tool, prompt.tools), _tool(prompt.result)]


def _tool(tool: ToolDefinition) -> ChatCompletionFunctionToolParam:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": clean_text(tool.description),
            "parameters": dict(tool.input_schema),
        },
    }


def _response_format(prompt: Prompt, *, official: bool) -> ResponseFormatJSONSchema | Omit:
    if not prompt.force_result:
        return omit
    schema = prompt.result.input_schema
    return {
        "type": "json_schema",
        "json_schema": {
            "name": prompt.result.name,
            "schema": dict(spoken_limits(schema) if official else schema),
            "strict": True,
        },
    }


def _messages(prompt: Prompt) -> list[ChatCompletionMessageParam]:
    sent: list[ChatCompletionMessageParam] = []
    if prompt.conversation.system.strip():
        sent.append({"role": "system", "content": clean_text(prompt.conversation.system)})
    for message in prompt.conversation.settled().messages:
        sent.extend(_assistant(message) if message.role == "assistant" else _user(message))
    return sent


def _assistant(message: Message) -> list[ChatCompletionMessageParam]:
    text = _text(message)
    calls = [_call(call) for call in message.calls]
    if calls:
        return [{"role": "assistant", "content": text or None, "tool_calls": calls}]
    return [{"role": "assistant", "content": text}] if text else []


def _user(message: Message) -> list[ChatCompletionMessageParam]:
    sent: list[ChatCompletionMessageParam] = [
        {"role": "tool", "tool_call_id": block.id, "content": clean_text(block.text)}
        for block in message.blocks
        if isinstance(block, ToolResultBlock)
    ]
    text = _text(message)
    return [*sent, {"role": "user", "content": text}] if text else sent


def _text(message: Message) -> str:
    texts = [block.text for block in message.blocks if isinstance(block, TextBlock)]
    return clean_text("\n\n".join(text for text in texts if text.strip()))


def _call(call: ToolCallBlock) -> ChatCompletionMessageFunctionToolCallParam:
    sent: ChatCompletionMessageFunctionToolCallParam = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
    }
    if call.extra:
        sent["extra_content"] = call.extra  # type: ignore[typeddict-unknown-key]  # Gemini's own
    return sent


class _Details(Contract):
    cached_tokens: int | None = 0


class _Usage(Contract):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None


def _reply(prompt: Prompt, server: Server, response: httpx2.Response) -> Reply:
    body, repeated = parse_object(response.content)
    choice = _choice(body, server, response)
    message = choice["message"]
    if not isinstance(message, dict):
        raise MalformedError("holds no message")
    ending = _ENDINGS.get(str(choice.get("finish_reason")), "whole")
    if message.get("refusal"):
        ending = "refusal"
    return assemble(
        prompt,
        [*_said(message, prompt, whole=ending == "whole"), *_calls(message, repeated)],
        ending,
        _usage(body.get("usage")),
        model=str(body.get("model") or ""),
        request_id=request_id(response),
    )


def _choice(
    body: dict[str, JsonValue], server: Server, response: httpx2.Response
) -> dict[str, JsonValue]:
    match body:
        case {"choices": [dict(choice), *_]} if "message" in choice:
            return choice
        case {"error": {"code": int(status)}} if 400 <= status < 600:
            raise _fault_in_body(server, response, status)
        case _:
            raise MalformedError("holds no choice")


def _fault_in_body(
    server: Server, response: httpx2.Response, status: int
) -> PermanentError | TemporaryError:
    """Gateways that answer 200 with the true status in the body."""
    return status_fault(server, response, status=status)


def _said(message: dict[str, JsonValue], prompt: Prompt, *, whole: bool) -> list[Block]:
    content = message.get("content")
    if isinstance(content, list):  # some servers answer in the form of the request
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str) or not content.strip():
        content = message.get("refusal")
        return [TextBlock(text=content)] if isinstance(content, str) else []
    if prompt.force_result and whole:
        return [call_block("", prompt.result.name, content)]
    return [TextBlock(text=content)]


def _calls(message: dict[str, JsonValue], repeated: bool) -> list[Block]:
    calls = message.get("tool_calls")
    if calls is None:
        return []
    if not isinstance(calls, list):
        raise MalformedError("holds tool calls that are no list")
    return [_call_block(call, repeated) for call in calls]


def _call_block(call: JsonValue, repeated: bool) -> ToolCallBlock:
    function = call.get("function") if isinstance(call, dict) else None
    if not (isinstance(call, dict) and isinstance(function, dict)):
        raise MalformedError("holds a tool call without a function")
    arguments, extra = function.get("arguments"), call.get("extra_content")
    # An object instead of its text is not the API's form, yet what several servers send.
    is_text = isinstance(arguments, str)
    block = call_block(
        str(call.get("id") or ""),
        str(function.get("name") or ""),
        str(arguments) if is_text else json.dumps(arguments or {}),
        extra=extra if isinstance(extra, dict) else None,
    )
    if repeated and not is_text:
        return block.model_copy(update={"arguments": {}, "problem": REPEATED_KEYS})
    return block


def _usage(value: JsonValue) -> Usage | None:
    try:
        usage = _Usage.model_validate(value)
    except ValidationError:
        return None
    details = usage.prompt_tokens_details or _Details()
    cached = min(details.cached_tokens or 0, usage.prompt_tokens)
    if min(usage.prompt_tokens, usage.completion_tokens, cached) < 0:
        return None
    return Usage(
        calls=1,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cached_tokens=cached,
    )
