"""A conversation with a model, as it lies in the content store: no provider's own form."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from pilothouse.models.base import Contract

RESULT_TOOL = "submit_answer"
"""The one tool that every agent ends with; its arguments are an `AgentAnswer`."""


class TextBlock(Contract):
    """Words, of us or of the model."""

    type: Literal["text"] = "text"
    text: str


class ToolCallBlock(Contract):
    """A tool call that the model asked for."""

    type: Literal["tool_call"] = "tool_call"
    id: str
    """Unique within the conversation; letters, digits, `_` and `-`."""
    name: str
    arguments: dict[str, JsonValue] = {}
    problem: str = ""
    """Why the arguments cannot be used; they are then empty, and the call must not be run."""
    raw: str = ""
    """With a problem: the arguments as the model wrote them, cut if they are long."""
    extra: dict[str, JsonValue] = {}
    """What the provider wants to have back with the call, e.g. a signature of its reasoning."""


class ToolResultBlock(Contract):
    """What a tool call gave."""

    type: Literal["tool_result"] = "tool_result"
    id: str
    """Of the call."""
    text: str
    is_error: bool = False


class OpaqueBlock(Contract):
    """Something only its provider understands and wants to have back, e.g. signed reasoning."""

    type: Literal["opaque"] = "opaque"
    provider: str
    data: dict[str, JsonValue]


Block = Annotated[
    TextBlock | ToolCallBlock | ToolResultBlock | OpaqueBlock, Field(discriminator="type")
]


class Message(Contract):
    """One turn. Tool results stand in the user's turn, before its text."""

    role: Literal["user", "assistant"]
    blocks: tuple[Block, ...] = ()

    @property
    def calls(self) -> tuple[ToolCallBlock, ...]:
        """The tool calls in this turn."""
        return tuple(block for block in self.blocks if isinstance(block, ToolCallBlock))


class Conversation(Contract):
    """The system prompt, and everything said so far, oldest first."""

    system: str = ""
    messages: tuple[Message, ...] = ()

    def add(self, message: Message) -> "Conversation":
        """The conversation with one more turn."""
        return self.model_copy(update={"messages": (*self.messages, message)})

    @property
    def turns(self) -> int:
        """How often the model has spoken."""
        return sum(message.role == "assistant" for message in self.messages)

    def settled(self, note: str = "not run") -> "Conversation":
        """The conversation as every provider takes it: each tool call answered right after it.

        A call that nobody answered gets `note` as an error; a result that answers no call of the
        turn before is left out, as is an empty turn; turns of the user in a row are one.

        Idempotent.
        """
        messages: list[Message] = []
        for message in self.messages:
            if not message.blocks:
                continue
            if message.role == "assistant":
                _answer(messages, note)
                messages.append(message)
            elif messages and messages[-1].role == "user":
                messages[-1] = Message(role="user", blocks=messages[-1].blocks + message.blocks)
            else:
                messages.append(message)
        _answer(messages, note)
        return self.model_copy(update={"messages": tuple(messages)})


def _answer(messages: list[Message], note: str) -> None:
    """Make the last turns fit: what the assistant called is what the user answers, in order."""
    if not messages:
        return
    said = messages.pop() if messages[-1].role == "user" else Message(role="user")
    given = {block.id: block for block in said.blocks if isinstance(block, ToolResultBlock)}
    results = [
        given.get(call.id, ToolResultBlock(id=call.id, text=call.problem or note, is_error=True))
        for call in (messages[-1].calls if messages else ())
    ]
    rest = [block for block in said.blocks if not isinstance(block, ToolResultBlock)]
    if results or rest:
        messages.append(Message(role="user", blocks=(*results, *rest)))


class ToolDefinition(Contract):
    """A tool as a model is told of it."""

    name: str
    description: str = ""
    input_schema: dict[str, JsonValue]


TOOL_LIST: TypeAdapter[tuple[ToolDefinition, ...]] = TypeAdapter(tuple[ToolDefinition, ...])
"""The form of a tool list in the content store; without the result tool, which is always added."""
