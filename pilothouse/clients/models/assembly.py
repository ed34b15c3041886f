"""A reply from its parts: what every provider's answer must look like before anyone reads it."""

import json
import re
from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue

from pilothouse.clients.models.provider import Prompt, Reply
from pilothouse.clients.models.strict_json import MalformedError, clean_text, parse_object
from pilothouse.models.conversations import (
    Block,
    Message,
    OpaqueBlock,
    TextBlock,
    ToolCallBlock,
)
from pilothouse.models.model_calls import StopReason, Usage

MAX_TEXT = 64 * 1024
"""Characters kept of all text in one reply; it is sent again with every later call."""
MAX_ARGUMENTS = 64 * 1024
"""Characters of one tool call's arguments."""
MAX_CALLS = 32
"""Tool calls in one reply."""
_BYTES_PER_TOKEN = 3
"""For a guess that is rather too high: English text has four or more."""

REPEATED_KEYS = "the arguments name a key twice"

Ending = Literal["whole", "max_tokens", "refusal"]
"""Whether the provider says that the reply is all of what the model wanted to say."""


def assemble(
    prompt: Prompt,
    blocks: Sequence[Block],
    ending: Ending,
    usage: Usage | None,
    *,
    model: str,
    request_id: str,
) -> Reply:
    """Make a reply that can be acted on and sent back, whatever the provider gave us.

    Calls of a reply that is cut off or refused are dropped: half a call is no call. A result wins
    over other calls beside it. Ids and names get a form that each provider takes back.
    """
    kept = _named(_bounded(blocks), prompt.conversation.turns)
    stop, kept, problem = _decide(kept, ending, prompt)
    message = Message(role="assistant", blocks=tuple(kept))
    return Reply(
        message=message,
        stop=stop,
        problem=problem,
        usage=usage or _estimate(prompt, blocks),
        model=clean_text(model)[:200],
        request_id=request_id,
    )


def call_block(
    identity: str,
    name: str,
    arguments: str,
    *,
    extra: dict[str, JsonValue] | None = None,
) -> ToolCallBlock:
    """A tool call whose arguments came as JSON text."""
    problem = ""
    parsed: dict[str, JsonValue] = {}
    if len(arguments) > MAX_ARGUMENTS:
        problem = f"the arguments are longer than {MAX_ARGUMENTS} characters"
    else:
        try:
            # Some servers send nothing for a tool without parameters.
            parsed, repeated = parse_object(arguments.strip() or "{}")
            problem = REPEATED_KEYS if repeated else ""
        except MalformedError as error:
            problem = f"what was given as arguments {error}"
    return ToolCallBlock(
        id=identity,
        name=name,
        arguments={} if problem else parsed,
        problem=problem,
        raw=clean_text(arguments[:MAX_ARGUMENTS]) if problem else "",
        extra=extra or {},
    )


def _decide(
    blocks: list[Block], ending: Ending, prompt: Prompt
) -> tuple[StopReason, list[Block], str]:
    calls = [block for block in blocks if isinstance(block, ToolCallBlock)]
    texts: list[Block] = [block for block in blocks if isinstance(block, TextBlock)]
    if ending != "whole":
        problem = "the reply was cut off" if ending == "max_tokens" else "the model declined"
        return ending, texts, problem
    answers = [call for call in calls if call.name == prompt.result.name]
    if answers:
        rest = [block for block in blocks if not isinstance(block, ToolCallBlock)]
        return "result", [*rest, answers[0]], answers[0].problem
    if calls and prompt.force_result:
        return "end_turn", texts, f"only {prompt.result.name} could be called"
    if len(calls) > MAX_CALLS:
        return "end_turn", texts, f"a reply may hold {MAX_CALLS} tool calls at most"
    return ("tool_use" if calls else "end_turn"), blocks, ""


def _bounded(blocks: Sequence[Block]) -> list[Block]:
    """The blocks without blank text, and with all text together cut at its limit."""
    left = MAX_TEXT
    kept: list[Block] = []
    for block in blocks:
        if isinstance(block, TextBlock):
            text = clean_text(block.text)
            if not text.strip() or not left:
                continue
            cut = len(text) > left
            text = text[:left]
            left -= len(text)
            block = TextBlock(text=f"{text} [cut off]" if cut else text)
        kept.append(block)
    return kept


def _named(blocks: list[Block], turn: int) -> list[Block]:
    """The blocks with call ids that are unique, and names and ids that every provider takes."""
    seen: set[str] = set()
    named: list[Block] = []
    for index, block in enumerate(blocks):
        if isinstance(block, ToolCallBlock):
            identity = block.id
            if identity in seen or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", identity):
                identity = f"call_{turn}_{index}"
            seen.add(identity)
            name = re.sub(r"[^A-Za-z0-9_-]", "_", block.name)[:64] or "_"
            block = block.model_copy(update={"id": identity, "name": name})
        named.append(block)
    return named


def _estimate(prompt: Prompt, blocks: Sequence[Block]) -> Usage:
    """A cautious guess, so that a server that reports nothing cannot outrun a budget."""
    asked = len(prompt.conversation.model_dump_json()) + sum(
        len(tool.model_dump_json()) for tool in (*prompt.tools, prompt.result)
    )
    said = sum(len(_text(block)) for block in blocks)
    return Usage(
        calls=1,
        input_tokens=asked // _BYTES_PER_TOKEN,
        output_tokens=said // _BYTES_PER_TOKEN,
        estimated=True,
    )


def _text(block: Block) -> str:
    if isinstance(block, OpaqueBlock):
        return json.dumps(block.data)
    return block.model_dump_json()
