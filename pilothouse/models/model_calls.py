"""One call of a model: what is asked, what comes of it, what it used. Texts are digests."""

from typing import Literal

from pilothouse.models.base import Contract
from pilothouse.models.repository import Digest


class Usage(Contract):
    """What model calls used; of calls that failed no provider says it."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Input tokens that were read from the provider's cache; part of `input_tokens`."""
    cache_write_tokens: int = 0
    """Input tokens that were written to the provider's cache; part of `input_tokens`."""
    estimated: bool = False
    """The provider reported no usage: the tokens are a cautious guess from the length."""
    cost: float | None = 0.0
    """In US dollars; None: the price of the model is not known."""


class ToolCall(Contract):
    """A tool call that a model asks for: a wish, not an order."""

    id: str
    name: str
    arguments: Digest
    """Canonical JSON in the content store."""
    problem: str = ""
    """Why the arguments cannot be used; they are then `{}`, and the call must not be run."""


StopReason = Literal["tool_use", "result", "end_turn", "max_tokens", "refusal"]
"""Why a model stopped: it asks for tools, answered, only talked, was cut off, or declined."""


class ToolOutcome(Contract):
    """What answers one tool call of the turn before: a text in the store, or words of ours."""

    id: str
    """Of the call."""
    text: Digest | None = None
    message: str = ""
    is_error: bool = False


class ModelCallRequest(Contract):
    """One model call. The conversation is in the content store; this says where."""

    model: str
    """`provider:model`."""
    conversation: Digest
    results: tuple[ToolOutcome, ...] = ()
    """Appended to the conversation before the call, as the user's turn."""
    hint: str = ""
    """Words of ours, appended after the results."""
    tools: Digest
    """The tool list as JSON, in the content store."""
    force_result: bool = False
    """Only the result tool may be called: the last call of every conversation."""
    max_output_tokens: int = 4096
    timeout_seconds: float = 120
    key: str
    """Operation id `<workflow id>/<run id>/<call number>`: the same call is paid once."""


class ModelCallResult(Contract):
    """What came of it."""

    conversation: Digest
    """With the reply appended."""
    stop: StopReason
    tool_calls: tuple[ToolCall, ...] = ()
    result: Digest | None = None
    """The arguments of the result tool as canonical JSON, unvalidated; none if they are no JSON
    object without repeated keys, which `problem` then says."""
    problem: str = ""
    """What was wrong with the reply, in words that may be told to the model; never its text."""
    usage: Usage
    model: str = ""
    """As the provider names it."""
    request_id: str = ""
