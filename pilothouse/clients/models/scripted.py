"""A provider that says what a file says: for tests and demonstrations, without any model."""

import asyncio
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, JsonValue, ValidationError

from pilothouse.clients.models.assembly import Ending, assemble
from pilothouse.clients.models.provider import Prompt, Reply
from pilothouse.models.base import Declaration, explain
from pilothouse.models.conversations import Block, TextBlock, ToolCallBlock
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.model_calls import Usage


class ScriptedCall(Declaration):
    """A tool call to make."""

    tool: str
    arguments: dict[str, JsonValue] = {}


class ScriptedReply(Declaration):
    """What to say in one turn."""

    text: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    result: dict[str, JsonValue] | None = None
    """Arguments of the result tool."""
    ending: Ending = "whole"
    fault: Literal["", "unavailable", "refused"] = ""
    seconds: float = Field(default=0, ge=0, le=3600)
    """How long to think before."""
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)


class Script(Declaration):
    """A conversation's replies, in order; the last one is said for ever."""

    replies: tuple[ScriptedReply, ...] = Field(min_length=1)

    @classmethod
    def read(cls, path: Path) -> "Script":
        """Read a script from YAML.

        Raises:
            PermanentError: `ModelRefused`, there is no such file, or it has the wrong form.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise PermanentError("ModelRefused", f"there is no script {path}") from None
        except ValidationError as error:
            raise PermanentError("ModelRefused", f"{path}: {explain(error)}") from None
        except (yaml.YAMLError, ValueError, RecursionError):
            raise PermanentError("ModelRefused", f"{path} is not a YAML document") from None


class ScriptedProvider:
    """Says a script's replies.

    Which one is next stands in the conversation, not in here: a worker that takes over goes on
    where the other one was.
    """

    def __init__(self, script: Script, *, name: str = "scripted") -> None:
        self._script = script
        self._name = name

    async def complete(self, prompt: Prompt) -> Reply:
        """Say what stands at this turn; see `Provider.complete`."""
        turn = min(prompt.conversation.turns, len(self._script.replies) - 1)
        line = self._script.replies[turn]
        try:
            async with asyncio.timeout(prompt.timeout):
                await asyncio.sleep(line.seconds)
        except TimeoutError:
            raise TemporaryError("ModelUnavailable", "the script is slower than allowed") from None
        if line.fault == "unavailable":
            raise TemporaryError("ModelUnavailable", f"the script {self._name} says so")
        if line.fault == "refused":
            raise PermanentError("ModelRefused", f"the script {self._name} says so")
        usage = Usage(calls=1, input_tokens=line.input_tokens, output_tokens=line.output_tokens)
        return assemble(
            prompt,
            _blocks(line, prompt, turn),
            line.ending,
            usage,
            model=self._name,
            request_id=f"{self._name}-{turn}",
        )


def _blocks(line: ScriptedReply, prompt: Prompt, turn: int) -> list[Block]:
    blocks: list[Block] = [TextBlock(text=line.text)] if line.text else []
    calls = [(call.tool, call.arguments) for call in line.calls]
    if line.result is not None:
        calls.append((prompt.result.name, line.result))
    return blocks + [
        ToolCallBlock(id=f"call_{turn}_{index}", name=tool, arguments=arguments)
        for index, (tool, arguments) in enumerate(calls)
    ]
