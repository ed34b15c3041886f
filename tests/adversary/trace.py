"""What decides a run of an agent: its task, and what everybody outside says, turn by turn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pilothouse.clients.mcp import ToolAnswer
from pilothouse.clients.models.assembly import Ending
from pilothouse.gitops.agents.toolset import AdvertisedTool
from pilothouse.models.agents import AgentRequest
from pilothouse.models.model_calls import Usage
from pilothouse.models.objects import digest_of
from pilothouse.models.pipeline import Agent, Budget, McpServer
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.tools import Material
from tests.adversary.words import CANARY

Fault = Literal["", "unavailable", "refused"]
Listing = tuple[AdvertisedTool, ...] | Fault


@dataclass(frozen=True)
class Line:
    """One reply of a model."""

    text: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    """(id, name, arguments as text) of each call, the result tool's included.

    The name `$2` stands for the third tool that it was told of; in arguments, `$REF` for the last
    digest that it was told, `$OTHER` for one that it was not, `$QUOTE1` for words that it is
    shown or that a tool answers, and `$TURN` for the number of the turn.
    """
    ending: Ending = "whole"
    usage: Usage | None = None
    seconds: float = 0.0
    fault: Fault = ""


@dataclass(frozen=True)
class Trace:
    """Everything that decides a run: the same trace is the same run."""

    request: AgentRequest
    texts: tuple[str, ...]
    """What the request's material holds."""
    listings: Mapping[str, Listing]
    """server -> what it says of its tools."""
    lines: tuple[Line, ...]
    """The last one is said for ever."""
    answers: tuple[ToolAnswer | Fault, ...]
    """Of one tool call after the other, over and over."""

    @property
    def quotes(self) -> list[str]:
        """Words that stand in what the agent is shown; of a credential, what stands for it."""
        said = [each.text for each in self.answers if isinstance(each, ToolAnswer)]
        every = (*self.texts, *said)
        return [text[:40] if CANARY not in text else "<REDACTED:" for text in every]


SERVERS: Final = {
    "k8s": McpServer(
        url="http://localhost:1/mcp",
        tools={
            "look": "read",
            "peek": "read",
            "x__look": "write",
            "change": "write",
            "page": "external",
        },
    ),
    "k8s__x": McpServer(command=("tools", "--stdio"), tools={"look": "read"}),
    "docs": McpServer(url="http://localhost:2/mcp", tools={"search": "read"}),
    "evil": McpServer(url="http://localhost:3/mcp", tools={"own": "read", "rob": "external"}),
}
"""`k8s/x__look` and `k8s__x/look` are spelled alike, and do something else."""


def material_of(texts: tuple[str, ...], *, untrusted: bool = True) -> tuple[Material, ...]:
    """The material that holds these texts, as E1, E2 ..."""
    return tuple(
        Material(
            id=f"E{number}",
            kind="log",
            title=f"log {number}",
            content=digest_of(text.encode()),
            size=len(text.encode()),
            untrusted=untrusted,
        )
        for number, text in enumerate(texts, 1)
    )


def task(allowed: tuple[str, ...], budget: Budget, on_error: str, **fields: object) -> AgentRequest:
    """A task for an agent that may call some tools."""
    spec = Agent.model_validate({
        "trigger": "manual",
        "model": "scripted:adversary",
        "prompt": "Look closely.",
        "mcp_tools": allowed,
        "budget": budget,
        "on_error": on_error,
    })
    return AgentRequest.model_validate({
        "repository": RepositoryRef(url="http://localhost:1/app.git"),
        "revision": "a" * 40,
        "run": "run/1",
        "name": "adviser",
        "spec": spec,
        "servers": SERVERS,
        "tree": digest_of(b"tree"),
        **fields,
    })
