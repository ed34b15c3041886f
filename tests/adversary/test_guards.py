"""Each guard is broken in turn, and the adversary notices: its silence means something."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings

from activities import models, tools
from pilothouse.clients.mcp import ToolAnswer
from pilothouse.gitops.agents import evidence, toolset, verdict
from pilothouse.gitops.agents.budget import Next, Reading
from pilothouse.gitops.agents.schemas import argument_problems
from pilothouse.gitops.redaction import Redacted, Redactor
from pilothouse.models.findings import Verdict
from pilothouse.models.pipeline import McpServer
from pilothouse.models.tools import ToolCallRequest, ToolSpec
from tests.adversary.conftest import BOUNDED
from tests.adversary.invariants import violations
from tests.adversary.theatre import play
from tests.adversary.trace import Trace
from tests.adversary.traces import traces
from workflows.reasoning import calls
from workflows.reasoning import loop as reasoning

Broken = tuple[object, str, object, str]
"""Where the guard stands, its name, what stands there instead, and what is then noticed."""


def admit_by_name(name: str, offered: Any, **_: bool) -> tuple[ToolSpec | None, str]:
    return next((tool for tool in offered if tool.name == name), None), "there is none"


def offer_what_it_says(
    server: str, tool: toolset.AdvertisedTool, declared: McpServer, read_only: bool
) -> toolset.OfferedTool:
    """Believes a server that says of its tool that it only reads."""
    if tool.hints.read_only:
        declared = declared.model_copy(update={"tools": {**declared.tools, tool.name: "read"}})
    return _offer(server, tool, declared, read_only)


_offer: Final = toolset._offer


def offer_unpinned(
    server: str, tool: toolset.AdvertisedTool, declared: McpServer, read_only: bool
) -> toolset.OfferedTool:
    return _offer(server, tool, declared.model_copy(update={"pins": {}}), read_only)


def read_anything(
    self: tools.ToolActivities, request: ToolCallRequest, arguments: Mapping[str, Any]
) -> ToolAnswer:
    del request
    digest = str(arguments["ref"])
    return ToolAnswer(self._store.get(digest).decode())


def rules_alone(rules: Verdict, *_: object) -> verdict.Conclusion:
    return verdict.Conclusion(rules, False, "the rules count")


def only_what_is_built_in(schema: Any, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    return argument_problems(schema, arguments) if "ref" in schema.get("required", ()) else ()


GUARDS: Final[dict[str, Broken]] = {
    "taint": (calls, "is_tainted", lambda shown: False, "I5"),
    "admission": (calls, "admit", admit_by_name, "I5"),
    "classification": (toolset, "_offer", offer_what_it_says, "I5|I2"),
    "pins": (toolset, "_offer", offer_unpinned, "I6"),
    "arguments": (tools, "argument_problems", only_what_is_built_in, "I6"),
    "reach of read_more": (tools.ToolActivities, "_read_more", read_anything, "I9"),
    "redaction": (Redactor, "redact", lambda self, text: Redacted(text, {}), "I9"),
    "the model's own words": (models, "clean_message", lambda message, *_: message, "I9"),
    "repetition": (calls, "note_read", lambda spent, call: Reading(spent, "run"), "I7"),
    "budget": (reasoning, "next_call", lambda *_: Next("free"), "I7"),
    "number of calls": (calls, "MAX_CALLS", 10**6, "I7"),
    "evidence": (evidence, "_unresolved", lambda *_: "", "evidence"),
    "the stricter counts": (verdict, "stricter", lambda *given: given[-1], "softened"),
    "on_error": (reasoning, "conclude", rules_alone, "on_error"),
}


@pytest.fixture(scope="module")
def drawn() -> list[Trace]:
    """Enough traces for every guard to be needed."""
    kept: list[Trace] = []

    @settings(BOUNDED, max_examples=1_200, phases=(Phase.generate,))
    @given(traces())
    def draw(trace: Trace) -> None:
        kept.append(trace)

    draw()
    return kept


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_that_is_broken_is_noticed(
    guard: str,
    drawn: list[Trace],
    loop: asyncio.AbstractEventLoop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, name, instead, noticed = GUARDS[guard]
    monkeypatch.setattr(place, name, instead)
    found: set[str] = set()
    for trace in drawn:
        found.update(violations(loop.run_until_complete(play(trace))))
        if re.search(noticed, " ".join(found)):
            return
    pytest.fail(f"{len(drawn)} traces, and only this was noticed: {found or 'nothing'}")
