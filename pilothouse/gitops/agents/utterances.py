"""What a model says, made fit to be kept and said to others: its words are untrusted as well."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.agents.sanitise import sanitise
from pilothouse.gitops.redaction import Redactor
from pilothouse.models.conversations import RESULT_TOOL, Block, Message, TextBlock, ToolCallBlock
from pilothouse.models.objects import canonical_json

UNKNOWN_TOOL: Final = "unknown_tool"
"""Stands for every name that was not offered: a name is a text that a model makes up."""
MAX_RAW: Final = 2_000
"""Characters of arguments that could not be used: people look at them, nobody else."""
HOLDS_CREDENTIAL: Final = "the arguments hold what looks like a credential"


def clean_message(message: Message, redactor: Redactor, offered: Collection[str]) -> Message:
    """The model's turn as it may go into a transcript, back to a model, and to a server of tools.

    Texts lose credentials and control characters. A tool call with a credential in its arguments
    gets a `problem`, so that it is not made; an answer loses the credential. What only its provider
    understands stays: altered it would be refused. Idempotent.

    Args:
        message: as its provider gave it.
        redactor: knows what the process holds.
        offered: the names of the tools that the model was told of.
    """
    return message.model_copy(
        update={"blocks": tuple(_block(each, redactor, offered) for each in message.blocks)}
    )


def _block(block: Block, redactor: Redactor, offered: Collection[str]) -> Block:
    match block:
        case TextBlock():
            return TextBlock(text=sanitise(block.text, redactor).text)
        case ToolCallBlock():
            return _call(block, redactor, offered)
        case _:
            return block


def _call(call: ToolCallBlock, redactor: Redactor, offered: Collection[str]) -> ToolCallBlock:
    # Its end may have been cut through the middle of a credential, which nobody then recognises.
    changed: dict[str, object] = {"raw": sanitise(call.raw, redactor).text[:MAX_RAW]}
    if call.name not in offered:
        changed["name"] = UNKNOWN_TOOL
    found = False

    def clean(text: str) -> str:
        nonlocal found
        cleaned = sanitise(text, redactor)
        found = found or bool(cleaned.redactions) or cleaned.withheld
        return cleaned.text

    arguments = with_texts(call.arguments, clean)
    # Each text by itself says nothing of the name that it stands under.
    together = sanitise(canonical_json(arguments).decode(), redactor)
    if call.name == RESULT_TOOL and not together.redactions and not together.withheld:
        changed["arguments"] = arguments
    elif found or together.redactions or together.withheld:
        changed |= {"arguments": {}, "problem": HOLDS_CREDENTIAL}
    return call.model_copy(update=changed)


def with_texts(
    value: Mapping[str, JsonValue], change: Callable[[str], str]
) -> dict[str, JsonValue]:
    """An object with each text in it changed, names included; two names may become one."""
    return {change(name): _with_texts(item, change) for name, item in value.items()}


def _with_texts(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    match value:
        case str():
            return change(value)
        case list():
            return [_with_texts(item, change) for item in value]
        case dict():
            return with_texts(value, change)
        case _:
            return value
