"""The tool calls of an agent: what a model wishes for, admitted one by one."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops.agents.budget import Spent, note_read
    from pilothouse.gitops.agents.taint import admit, is_tainted
    from pilothouse.models.agents import AgentRequest
    from pilothouse.models.model_calls import ToolCall, ToolOutcome
    from pilothouse.models.objects import digest_of
    from pilothouse.models.tools import Material, ToolCallRequest, ToolCallResult, ToolSpec

from workflows.reasoning.doors import Closed, Doors

MAX_CALLS: Final = 100
"""Of one agent, whatever its budget of turns."""
MAX_READABLE: Final = 100
"""Texts that `read_more` knows; the oldest are forgotten first."""


class ToolCalls:
    """Runs what is admitted: reads of one turn at the same time, everything else one by one."""

    def __init__(self, request: AgentRequest, doors: Doors, key: str) -> None:
        self._request = request
        self._doors = doors
        self._key = key
        self._reads = Spent()
        self._readable: tuple[str, ...] = ()
        self._number = 0
        self.tools: tuple[ToolSpec, ...] = ()
        self.shown: list[Material] = []
        """Everything that the agent was shown: what it may cite, and whether it is tainted."""
        self.counts: Counter[str] = Counter()
        """Tool -> calls that were run."""

    def number(self) -> int:
        """The next operation's number: of model calls and tool calls alike."""
        self._number += 1
        return self._number

    def show(self, materials: Sequence[Material], readable: Sequence[str]) -> None:
        """Remember what the agent is shown."""
        self.shown += materials
        self._readable = (*self._readable, *readable)[-MAX_READABLE:]

    async def run(self, calls: Sequence[ToolCall]) -> list[ToolOutcome]:
        """Answer each call, in the order in which they were made.

        Raises:
            Closed: `loop`, the same was asked for again and again; `budget`; `tools`.
        """
        answers: dict[int, ToolOutcome] = {}
        reads: dict[int, ToolCallRequest] = {}
        for place, call in enumerate(calls):
            # What the calls before it will show taints it already, though they have not run yet.
            tainted = bool(reads) or is_tainted(self.shown)
            admitted = self._admit(call, tainted)
            if isinstance(admitted, ToolOutcome):
                answers[place] = admitted
            elif admitted.spec.kind == "read":
                reads[place] = admitted
            else:
                answers[place] = self._answer(call, await self._doors.call_tool(admitted))
        for place, result in zip(reads, await self._together(list(reads.values())), strict=True):
            answers[place] = self._answer(calls[place], result)
        return [answers[place] for place in range(len(calls))]

    async def _together(self, reads: Sequence[ToolCallRequest]) -> list[ToolCallResult]:
        """Run reads at the same time; when one door stays closed the others are given up."""
        tasks = [asyncio.ensure_future(self._doors.call_tool(each)) for each in reads]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    def _admit(self, call: ToolCall, tainted: bool) -> ToolCallRequest | ToolOutcome:
        """The call as it may be run, or what to say instead."""
        if call.problem:
            return _refusal(call, f"the call was not made: {call.problem}")
        spec, why = admit(call.name, self.tools, read_only=self._request.read_only, tainted=tainted)
        if spec is None:
            return _refusal(call, why)
        if spec.kind == "read":
            reading = note_read(self._reads, digest_of(f"{spec.name} {call.arguments}".encode()))
            self._reads = reading.spent
            if reading.do == "stop":
                raise Closed("loop", reading.hint)
            if reading.do == "repeat":
                return _refusal(call, reading.hint)
        if self.counts.total() >= MAX_CALLS:
            raise Closed("budget", f"{MAX_CALLS} tool calls are used")
        self.counts[spec.name] += 1
        return ToolCallRequest(
            spec=spec,
            server=self._request.servers.get(spec.server),
            arguments=call.arguments,
            key=f"{self._key}/{self.number()}",
            evidence=f"E{len(self._request.material) + self.counts.total()}",
            readable=self._readable,
        )

    def _answer(self, call: ToolCall, result: ToolCallResult) -> ToolOutcome:
        self.show([result.material], [result.full])
        return ToolOutcome(id=call.id, text=result.text, is_error=result.is_error)


def _refusal(call: ToolCall, message: str) -> ToolOutcome:
    return ToolOutcome(id=call.id, message=message, is_error=True)
