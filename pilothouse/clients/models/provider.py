"""What every model provider is to us: one question, one reply."""

from dataclasses import dataclass
from typing import Protocol

from pilothouse.models.base import Contract
from pilothouse.models.conversations import Conversation, Message, ToolDefinition
from pilothouse.models.model_calls import StopReason, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question to a model."""

    conversation: Conversation
    tools: tuple[ToolDefinition, ...] = ()
    """What the model may call besides the result tool."""
    result: ToolDefinition
    """The tool that ends the conversation."""
    force_result: bool = False
    """The model may do nothing but call the result tool."""
    max_output_tokens: int
    timeout: float
    """Seconds for the whole call, however slowly the bytes drip."""


class Reply(Contract):
    """What the model said, in our words. Self-contained: it can be journalled and replayed."""

    message: Message
    stop: StopReason
    problem: str = ""
    """Why tool calls or the result in it cannot be used; empty if they can."""
    usage: Usage
    model: str = ""
    """As the provider names it."""
    request_id: str = ""


class Provider(Protocol):
    """One model behind one API."""

    async def complete(self, prompt: Prompt) -> Reply:
        """Ask the model once; nothing is retried here.

        Not idempotent: each call is paid. May be cancelled at any moment; the connection is closed.

        Raises:
            PermanentError: `ModelRefused`, asking the same again is useless.
            TemporaryError: `ModelUnavailable`; `delay` is what the provider asked for, capped.
        """
        ...
