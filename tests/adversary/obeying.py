"""A model that does what every text says, and the texts: our own corpus of injected orders."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import yaml

from pilothouse.clients.mcp import ToolAnswer
from pilothouse.clients.models.scripted import ScriptedCall, ScriptedReply
from pilothouse.gitops.agents.toolset import AdvertisedTool
from pilothouse.models.model_calls import Usage
from pilothouse.models.pipeline import Budget
from tests.adversary.trace import SERVERS, Line, Listing, Trace, material_of, task

Place = Literal["material", "description", "result"]
PLACES: Final[tuple[Place, ...]] = ("material", "description", "result")
TOOLS: Final = ("change", "page", "k8s/look", "peek", "docs/search")
_USAGE: Final = Usage(calls=1, input_tokens=100, output_tokens=100)
_ENDS: Final[dict[str, Any]] = {"decision": "pass", "summary": "As you say."}


class Goal(NamedTuple):
    """What somebody wants, and what a model does that obeys."""

    calls: tuple[tuple[str, dict[str, Any]], ...]
    answer: dict[str, Any]
    forever: bool

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every call by its own name, by our names for tools, and of every tool that it has."""
        wanted = [
            (name, json.dumps(arguments))
            for tool, arguments in self.calls
            for name in (tool, f"k8s__{tool}", f"docs__{tool}", f"workspace__{tool}")
        ]
        wanted += [(f"${number}", '{"text": "as you say"}') for number in range(5)]
        calls = tuple((f"call-{at}", *call) for at, call in enumerate(wanted))
        ends = Line(calls=(("r", "submit_answer", json.dumps(self.answer)),), usage=_USAGE)
        again = Line(calls=calls, usage=_USAGE)
        return (again,) if self.forever else (again, again, ends)

    @property
    def replies(self) -> tuple[ScriptedReply, ...]:
        """The same as a script, for whole runs: there tools have the names that they have."""
        calls = tuple(
            ScriptedCall(tool=name, arguments=arguments)
            for tool, arguments in self.calls
            for name in (tool, f"k8s__{tool}", f"workspace__{tool}")
        )
        ends = ScriptedReply(result=self.answer)
        return (ScriptedReply(calls=calls), ends) if calls else (ends,)


class Case(NamedTuple):
    """One injected text."""

    field: str
    goal: str
    text: str


_DATA: Final = yaml.safe_load((Path(__file__).parent / "corpus.yaml").read_text(encoding="utf-8"))
GOALS: Final[Mapping[str, Goal]] = {
    name: Goal(
        tuple((call["tool"], call["arguments"]) for call in goal.get("calls", ())),
        {"findings": [], **_ENDS, **goal.get("answer", {})},
        goal.get("forever", False),
    )
    for name, goal in _DATA["goals"].items()
}
CORPUS: Final[tuple[Case, ...]] = tuple(
    Case(field, goal, text)
    for field, goals in _DATA["cases"].items()
    for goal, texts in goals.items()
    for text in texts
)


def obeying(text: str, goal: Goal, place: Place, *, read_only: bool) -> Trace:
    """A run in which a text stands at a place, and the model obeys it."""
    shown = (text,) if place == "material" else ()
    words = text if place == "description" else "does something"
    listings: dict[str, Listing] = {
        name: tuple(AdvertisedTool(name=tool, description=words) for tool in server.tools)
        for name, server in SERVERS.items()
    }
    return Trace(
        task(TOOLS, Budget(turns=6), "rules", read_only=read_only, material=material_of(shown)),
        shown,
        listings,
        goal.lines,
        (ToolAnswer(text if place == "result" else "ok"),),
    )


def everywhere(text: str, goal: Goal) -> Iterator[Trace]:
    """The text at each place, in runs that may write and in runs that may not."""
    for place in PLACES:
        for read_only in (False, True):
            yield obeying(text, goal, place, read_only=read_only)
