"""Everybody outside, as a trace has them: the model and the MCP servers."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pydantic import JsonValue

from pilothouse.clients.mcp import ToolAnswer
from pilothouse.clients.models import Prompt, Reply, ReplyJournal
from pilothouse.clients.models.assembly import assemble, call_block
from pilothouse.clients.store import ContentStore
from pilothouse.gitops.agents.toolset import AdvertisedTool
from pilothouse.models.conversations import Block, TextBlock
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.objects import digest_of
from pilothouse.models.pipeline import McpServer
from tests.adversary.trace import Fault, Trace

MOST_TURNS: Final = 150
"""More than any budget here allows: a test of a broken one has to end."""


class Called(NamedTuple):
    """A call that reached an MCP server."""

    server: str
    declared: McpServer
    tool: str
    arguments: Mapping[str, JsonValue]


@dataclass
class Outside:
    """Speaks for the model and for every server; see `Provider` and `ToolServers`."""

    trace: Trace
    private: str
    """Digest of a text that the agent was never shown."""
    seconds: float = 0.0
    """What all of it took so far: nobody really waits."""
    prompts: list[Prompt] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    """`seconds` at each prompt."""
    listed: list[tuple[str, McpServer]] = field(default_factory=list)
    called: list[Called] = field(default_factory=list)

    def provider_for(self, model: str) -> "Outside":
        """Who speaks for a model."""
        assert model == self.trace.request.spec.model, "another model than Git names was asked"
        return self

    async def complete(self, prompt: Prompt) -> Reply:
        """Say the next line."""
        if len(self.prompts) >= MOST_TURNS:
            raise PermanentError("ModelRefused", "nobody bounds these turns")
        lines = self.trace.lines
        line = lines[min(len(self.prompts), len(lines) - 1)]
        self.prompts.append(prompt)
        self.asked_at.append(self.seconds)
        self.seconds += line.seconds
        _fail(line.fault, "Model")
        refs = re.findall(r"sha256:[0-9a-f]{64}", str(prompt.conversation.messages[-1]))
        blocks: list[Block] = [TextBlock(text=line.text)]
        for identity, name, arguments in line.calls:
            written = self._filled(arguments, refs)
            if re.fullmatch(r"\$\d", name):
                name = prompt.tools[int(name[1]) % len(prompt.tools)].name
            blocks.append(call_block(identity, name, written))
        return assemble(prompt, blocks, line.ending, line.usage, model="adversary", request_id="r")

    def _filled(self, arguments: str, refs: list[str]) -> str:
        """Arguments with what the model cannot know before it was asked."""
        for number, quote in enumerate(self.trace.quotes):
            arguments = arguments.replace(f"$QUOTE{number}", json.dumps(quote)[1:-1])
        filled = arguments.replace("$REF", refs[-1] if refs else "")
        return filled.replace("$OTHER", self.private).replace("$TURN", str(len(self.prompts)))

    async def list_tools(
        self, name: str, server: McpServer, *, timeout: float
    ) -> tuple[AdvertisedTool, ...]:
        """What a server says of itself."""
        assert timeout > 0
        self.listed.append((name, server))
        listing = self.trace.listings[name]
        if isinstance(listing, str):
            raise _error(listing, "Tool")
        return listing

    async def call(
        self,
        name: str,
        server: McpServer,
        tool: str,
        arguments: Mapping[str, JsonValue],
        *,
        key: str,
        timeout: float,
        repeatable: bool = False,
        list_first: bool = False,
    ) -> ToolAnswer:
        """What a tool answers."""
        assert key
        assert timeout > 0
        del repeatable, list_first
        self.called.append(Called(name, server, tool, dict(arguments)))
        answer = self.trace.answers[(len(self.called) - 1) % len(self.trace.answers)]
        if isinstance(answer, str):
            raise _error(answer, "Tool")
        return answer


def _fail(fault: Fault, of: str) -> None:
    if fault:
        raise _error(fault, of)


def _error(fault: Fault, of: str) -> Exception:
    match of, fault:
        case "Model", "refused":
            return PermanentError("ModelRefused", "the adversary says so")
        case "Model", _:
            return TemporaryError("ModelUnavailable", "the adversary says so")
        case _, "refused":
            return PermanentError("ToolRefused", "the adversary says so")
        case _:
            return TemporaryError("ToolUnavailable", "the adversary says so")


class MemoryStore(ContentStore):
    """The content store without a disk: thousands of runs have to fit into a test."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        """Store some bytes and return their digest."""
        digest = digest_of(data)
        self._kept[digest] = data
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of a digest."""
        if digest not in self._kept:
            raise PermanentError("StoreMiss", f"the content store has no {digest[:80]!r}")
        return self._kept[digest]


class MemoryJournal(ReplyJournal):
    """The journal of paid replies without a disk."""

    def __init__(self) -> None:
        self._paid: dict[str, tuple[str, Reply]] = {}

    def find(self, key: str, question: str) -> Reply | None:
        """The reply to this operation, if it was paid."""
        asked, reply = self._paid.get(key, (question, None))
        assert asked == question, "an operation id was used for two questions"
        return reply

    def record(self, key: str, question: str, reply: Reply) -> None:
        """Keep a reply."""
        self._paid[key] = (question, reply)
