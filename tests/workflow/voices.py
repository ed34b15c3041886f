"""Models and MCP servers that say what a test wants; between them and a workflow all is real.

The doubles stand where the SDKs of providers and of MCP stand: prompts are framed, answers parsed,
tools chosen and results sanitised by the real activities, over a content store of their own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from weakref import finalize

from pydantic import JsonValue

from activities.conversations import ConversationActivities
from activities.models import ModelActivities
from activities.tools import ToolActivities
from pilothouse.clients.mcp import ToolAnswer
from pilothouse.clients.models import PriceTable, Prompt, Provider, Reply, ReplyJournal
from pilothouse.clients.models.scripted import Script, ScriptedCall, ScriptedProvider, ScriptedReply
from pilothouse.clients.store import ContentStore
from pilothouse.gitops.agents.toolset import AdvertisedTool
from pilothouse.models.errors import PermanentError
from pilothouse.models.pipeline import McpServer

PASS: dict[str, JsonValue] = {"decision": "pass", "summary": "nothing is wrong", "findings": []}


def answer(decision: str = "pass", *findings: dict[str, Any], **more: Any) -> ScriptedReply:
    """A reply that ends the conversation."""
    result = {"decision": decision, "summary": "as scripted", "findings": list(findings), **more}
    return ScriptedReply(result=result, input_tokens=100, output_tokens=10)


def finding(severity: str, message: str, **cited: str) -> dict[str, Any]:
    """A finding that cites `E1="a quote"`."""
    evidence = [{"id": id, "quote": quote} for id, quote in cited.items()]
    return {"severity": severity, "message": message, "evidence": evidence}


def calling(tool: str, **arguments: JsonValue) -> ScriptedReply:
    """A reply that asks for one tool."""
    call = ScriptedCall(tool=tool, arguments=arguments)
    return ScriptedReply(calls=(call,), input_tokens=100, output_tokens=10)


@dataclass
class Voices:
    """What models say and tools answer, and what they were asked."""

    models: dict[str, Provider] = field(default_factory=dict)
    """`provider:model` -> what speaks for it."""
    tools: dict[str, tuple[AdvertisedTool, ...]] = field(default_factory=dict)
    """server -> what it lists."""
    answers: dict[str, str] = field(default_factory=dict)
    """tool -> what it answers; every other answers `ok`."""
    down: set[str] = field(default_factory=set)
    """Servers that refuse us."""
    prompts: list[Prompt] = field(default_factory=list)
    """Every question that was paid for."""
    called: list[tuple[str, str, dict[str, JsonValue]]] = field(default_factory=list)
    """(server, tool, arguments) of every call."""
    secrets: tuple[str, ...] = ()
    """Values that the agents' worker holds."""
    slow: float = 0.0
    """Seconds that each tool takes."""
    running: int = 0
    most_at_once: int = 0
    folder: Path = field(default_factory=lambda: Path(mkdtemp(prefix="pilothouse-voices-")))

    def __post_init__(self) -> None:
        """The folder goes when the last one forgets it: worlds are made in many places."""
        finalize(self, rmtree, self.folder, ignore_errors=True)

    @property
    def store(self) -> ContentStore:
        """Where the agents' texts are."""
        return ContentStore(self.folder / "store")

    def say(self, model: str, *replies: ScriptedReply) -> None:
        """Script a model: its replies in order, the last one for ever."""
        self.models[model] = ScriptedProvider(Script(replies=replies), name=model)

    def offer(self, server: str, *tools: str) -> None:
        """Let a server list tools that take one optional text."""
        schema: dict[str, JsonValue] = {
            "type": "object",
            "properties": {"text": {"type": "string"}},
        }
        self.tools[server] = tuple(
            AdvertisedTool(name=name, description=f"does {name}", input_schema=schema)
            for name in tools
        )

    async def list_tools(
        self, name: str, _server: McpServer, *, timeout: float
    ) -> tuple[AdvertisedTool, ...]:
        """What a server offers."""
        assert timeout > 0
        if name in self.down:
            raise PermanentError("ToolRefused", f"the MCP server {name!r} refuses us")
        return self.tools.get(name, ())

    async def call(
        self,
        name: str,
        _server: McpServer,
        tool: str,
        arguments: Mapping[str, JsonValue],
        *,
        key: str,
        timeout: float,
        repeatable: bool = False,
        list_first: bool = False,
    ) -> ToolAnswer:
        """Call a tool once."""
        assert key
        assert timeout > 0
        del repeatable, list_first
        self.called.append((name, tool, dict(arguments)))
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await asyncio.sleep(self.slow)
        finally:
            self.running -= 1
        return ToolAnswer(self.answers.get(tool, "ok"))

    def provider_for(self, model: str) -> Provider:
        """Who speaks for a model."""
        if model not in self.models:
            raise PermanentError("ModelRefused", f"nobody speaks for {model!r}")
        return _Recorded(self.models[model], self.prompts)

    def served(self) -> list[Callable[..., object]]:
        """The activities of the agents' queue."""
        conversations = ConversationActivities(store=self.store, secrets=self.secrets)
        models = ModelActivities(
            provider_for=self.provider_for,
            store=self.store,
            journal=ReplyJournal(self.folder / "paid"),
            prices=PriceTable(),
            secrets=self.secrets,
        )
        tools = ToolActivities(store=self.store, clients=self, secrets=self.secrets)
        return [
            conversations.open_conversation,
            conversations.read_answer,
            models.call_model,
            tools.list_tools,
            tools.call_tool,
        ]


@dataclass
class _Recorded:
    """A provider whose questions are kept."""

    provider: Provider
    prompts: list[Prompt]

    async def complete(self, prompt: Prompt) -> Reply:
        self.prompts.append(prompt)
        return await self.provider.complete(prompt)


def script(replies: Sequence[ScriptedReply]) -> Provider:
    """A provider of its own for a list of replies."""
    return ScriptedProvider(Script(replies=tuple(replies)))
