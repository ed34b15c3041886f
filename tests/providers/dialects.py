"""The two APIs as servers speak them: replies, errors, and what a real server refuses."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.providers.server import Answer, Received

SECRET = "sk-canary-51f0c2d1"
"""The key of the tests, and what servers quote in their errors: it must never be seen."""
PROMPT_CANARY = "canary-prompt-words"
"""Stands in every prompt of the tests."""
STATUSES = {
    400: ("invalid_request_error", "invalid_request_error"),
    401: ("authentication_error", "invalid_api_key"),
    402: ("billing_error", "insufficient_quota"),
    403: ("permission_error", "permission_denied"),
    404: ("not_found_error", "model_not_found"),
    413: ("request_too_large", "request_too_large"),
    422: ("invalid_request_error", "unprocessable"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    500: ("api_error", "server_error"),
    503: ("api_error", "service_unavailable"),
    529: ("overloaded_error", "overloaded"),
}


@dataclass(frozen=True)
class Call:
    """A tool call in a reply; arguments as an object, or as the text that the model wrote."""

    name: str
    arguments: Mapping[str, Any] | str
    id: str = "call-1"


class Anthropic:
    """The Messages API."""

    name: Literal["anthropic"] = "anthropic"

    def message(
        self,
        text: str | None = "hello",
        calls: Sequence[Call] = (),
        *,
        stop: str = "",
        headers: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> Answer:
        content: list[dict[str, Any]] = [] if text is None else [{"type": "text", "text": text}]
        content += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
            for call in calls
        ]
        body = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-test-1",
            "content": content,
            "stop_reason": stop or ("tool_use" if calls else "end_turn"),
            "stop_sequence": None,
            "usage": {
                "input_tokens": 100,
                "output_tokens": 20,
                "cache_read_input_tokens": 30,
                "cache_creation_input_tokens": 7,
            },
        }
        return Answer(
            body=json.dumps(body | changes).encode(),
            headers={"request-id": "req_1", **(headers or {})},
        )

    def cut_off(self) -> Answer:
        return self.message("half a", stop="max_tokens")

    def refusal(self) -> Answer:
        return self.message("I cannot help", stop="refusal")

    def empty(self) -> Answer:
        return self.message(None)

    def error(self, status: int, headers: Mapping[str, str] | None = None) -> Answer:
        kind = STATUSES[status][0]
        message = f"bad key {SECRET}, or bad words {PROMPT_CANARY}"
        body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}
        return Answer(
            status=status,
            body=json.dumps(body).encode(),
            headers={"request-id": "req_1", **(headers or {})},
        )

    def objection(self, request: Received) -> str:
        """What the real server would refuse in a request; empty if nothing."""
        if request.path != "/v1/messages" or "anthropic-version" not in request.headers:
            return "path or version"
        if request.headers.get("authorization") != f"Bearer {SECRET}":
            return "key"
        open_calls: list[str] = []
        for index, message in enumerate(request.body["messages"]):
            if message["role"] != ("user" if index % 2 == 0 else "assistant"):
                return "roles do not alternate"
            blocks = message["content"]
            given = [block.get("tool_use_id") for block in blocks][: len(open_calls)]
            results = sum(block["type"] == "tool_result" for block in blocks)
            if given != open_calls or results != len(open_calls):
                return "tool calls and results do not match"
            if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
                return "blank text"
            open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        return "open tool calls" if open_calls else ""


class OpenAI:
    """The chat completions API."""

    name: Literal["openai"] = "openai"

    def message(
        self,
        text: str | None = "hello",
        calls: Sequence[Call] = (),
        *,
        stop: str = "",
        headers: Mapping[str, str] | None = None,
        refusal: str | None = None,
        **changes: Any,
    ) -> Answer:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal}
        if calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": _text(call.arguments)},
                }
                for call in calls
            ]
        finish = stop or ("tool_calls" if calls else "stop")
        body = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-test-1",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": 137,
                "completion_tokens": 20,
                "total_tokens": 157,
                "prompt_tokens_details": {"cached_tokens": 30},
            },
        }
        return Answer(
            body=json.dumps(body | changes).encode(),
            headers={"x-request-id": "req_1", **(headers or {})},
        )

    def cut_off(self) -> Answer:
        return self.message("half a", stop="length")

    def refusal(self) -> Answer:
        return self.message(None, refusal="I cannot help")

    def empty(self) -> Answer:
        return self.message(None)

    def error(self, status: int, headers: Mapping[str, str] | None = None) -> Answer:
        message = f"bad key {SECRET}, or bad words {PROMPT_CANARY}"
        body = {"error": {"message": message, "type": "x", "code": STATUSES[status][1]}}
        return Answer(
            status=status,
            body=json.dumps(body).encode(),
            headers={"x-request-id": "req_1", **(headers or {})},
        )

    def objection(self, request: Received) -> str:
        """What the real server would refuse in a request; empty if nothing."""
        if request.path != "/v1/chat/completions":
            return "path"
        if request.headers.get("authorization") != f"Bearer {SECRET}":
            return "key"
        open_calls: list[str] = []
        for message in request.body["messages"]:
            if message["role"] == "tool":
                if message["tool_call_id"] not in open_calls:
                    return "a result without its call"
                open_calls.remove(message["tool_call_id"])
            elif open_calls:
                return "tool calls without a result"
            calls = message.get("tool_calls", [])
            for call in calls:
                json.loads(call["function"]["arguments"])
            open_calls = open_calls or [call["id"] for call in calls]
        return "open tool calls" if open_calls else ""


Dialect = Anthropic | OpenAI


def _text(arguments: Mapping[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
