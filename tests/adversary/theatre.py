"""Plays a trace: the real loop and the real activities, with everybody outside as the trace says.

There is no server. What would travel through a history becomes JSON and back on its way, as it
does there, and is kept.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from temporalio.testing import ActivityEnvironment

from activities.conversations import ConversationActivities
from activities.models import ModelActivities
from activities.tools import ToolActivities
from pilothouse.clients.models import PriceTable
from pilothouse.clients.store import ContentStore
from pilothouse.models.agents import (
    AgentOutcome,
    AgentResult,
    AnswerRequest,
    JudgedAnswer,
    Opening,
    OpeningRequest,
)
from pilothouse.models.base import Contract
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.model_calls import ModelCallRequest, ModelCallResult
from pilothouse.models.tools import (
    Material,
    ToolCallRequest,
    ToolCallResult,
    ToolList,
    ToolListRequest,
)
from tests.adversary.outside import Called, MemoryJournal, MemoryStore, Outside
from tests.adversary.trace import Trace
from tests.adversary.words import CANARY, KNOWN
from workflows.reasoning.doors import Closed
from workflows.reasoning.loop import Loop

PRIVATE: Final = f"what no agent was ever shown: {CANARY}"
"""Lies in the store, as the texts of other runs do."""
KEY: Final = "run/1/adviser/0001"
Asked = TypeVar("Asked", bound=Contract)
Told = TypeVar("Told", bound=Contract)


@dataclass(frozen=True)
class Effect:
    """A call that was let through, and what the agent had seen when it was."""

    request: ToolCallRequest
    shown: tuple[Material, ...]
    called_before: int


@dataclass(frozen=True)
class Record:
    """What came of a trace."""

    trace: Trace
    outside: Outside
    store: ContentStore
    result: AgentResult
    states: tuple[AgentResult, ...]
    """Each state on the way: people see them."""
    travelled: tuple[tuple[str, str], ...]
    """(door, JSON) of everything that a history would hold, in its order."""
    effects: tuple[Effect, ...]
    tools: ToolList | None
    """What the agent had; None: it did not come so far."""

    @property
    def called(self) -> list[Called]:
        """What reached the servers."""
        return self.outside.called

    def asked(self, door: str) -> list[str]:
        """What was asked at one door."""
        return [text for name, text in self.travelled if name == door]


@dataclass
class Stage:
    """The doors of one run; see `workflows.reasoning.doors.Doors`."""

    outside: Outside
    conversations: ConversationActivities
    models: ModelActivities
    tools: ToolActivities
    shown: list[Material]
    travelled: list[tuple[str, str]] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    has: ToolList | None = None

    def elapsed(self) -> float:
        return self.outside.seconds

    async def open(self, request: OpeningRequest) -> Opening:
        return await self._through(
            "open", request, self.conversations.open_conversation, "misdeclared"
        )

    async def list_tools(self, request: ToolListRequest) -> ToolList:
        self.has = await self._through("list_tools", request, self.tools.list_tools, "tools")
        return self.has

    async def call_model(self, request: ModelCallRequest, turn: int) -> ModelCallResult:
        del turn
        return await self._through("call_model", request, self.models.call_model, "provider")

    async def call_tool(self, request: ToolCallRequest) -> ToolCallResult:
        self.effects.append(Effect(request, tuple(self.shown), len(self.effects)))
        result = await self._through("call_tool", request, self.tools.call_tool, "tools")
        self.shown.append(result.material)
        return result

    async def read_answer(self, request: AnswerRequest) -> JudgedAnswer:
        return await self._through(
            "read_answer", request, self.conversations.read_answer, "provider"
        )

    async def _through(
        self,
        door: str,
        request: Asked,
        activity: Callable[[Asked], Awaitable[Told]],
        outcome: AgentOutcome,
    ) -> Told:
        asked = request.model_dump_json()
        self.travelled.append((door, asked))
        try:
            received = type(request).model_validate_json(asked)
            told = await ActivityEnvironment().run(activity, received)
        except (PermanentError, TemporaryError) as error:
            self.travelled.append((f"{door} failed", str(error)))
            raise Closed(outcome, str(error)) from error
        answered = told.model_dump_json()
        self.travelled.append((f"{door} answered", answered))
        return type(told).model_validate_json(answered)


async def play(trace: Trace) -> Record:
    """Run an agent against a trace. The same trace gives the same record."""
    store = MemoryStore()
    for text in trace.texts:
        store.put(text.encode("utf-8", "replace"))
    outside = Outside(trace, private=store.put(PRIVATE.encode()))
    stage = Stage(
        outside,
        ConversationActivities(store=store, secrets=(KNOWN,)),
        ModelActivities(
            provider_for=outside.provider_for,
            store=store,
            journal=MemoryJournal(),
            prices=PriceTable(),
            secrets=(KNOWN,),
        ),
        ToolActivities(store=store, clients=outside, secrets=(KNOWN,)),
        shown=list(trace.request.material),
    )
    states: list[AgentResult] = []
    result = await Loop(trace.request, stage, KEY, states.append).run()
    return Record(
        trace,
        outside,
        store,
        result,
        tuple(states),
        tuple(stage.travelled),
        tuple(stage.effects),
        stage.has,
    )
