"""The ways out of an agent's loop, each an activity on the agents' task queue."""

from datetime import datetime, timedelta
from typing import Protocol

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.conversations import ConversationActivities
    from activities.models import ModelActivities
    from activities.tools import ToolActivities
    from pilothouse.models import names
    from pilothouse.models.agents import (
        AgentOutcome,
        AnswerRequest,
        JudgedAnswer,
        Opening,
        OpeningRequest,
    )
    from pilothouse.models.model_calls import ModelCallRequest, ModelCallResult
    from pilothouse.models.pipeline import duration
    from pilothouse.models.tools import ToolCallRequest, ToolCallResult, ToolList, ToolListRequest

from workflows import options
from workflows.visibility import reason

LEAST = timedelta(seconds=5)
"""A call that the budget still allows gets at least so long."""


class Closed(Exception):
    """A way out stayed closed: the agent ends with this outcome."""

    def __init__(self, outcome: AgentOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome: AgentOutcome = outcome


class Doors(Protocol):
    """What an agent's loop may do. Each raises `Closed`."""

    def elapsed(self) -> float:
        """Seconds since the agent began."""
        ...

    async def open(self, request: OpeningRequest) -> Opening:
        """Begin the conversation."""
        ...

    async def list_tools(self, request: ToolListRequest) -> ToolList:
        """Ask the servers for their tools."""
        ...

    async def call_model(self, request: ModelCallRequest, turn: int) -> ModelCallResult:
        """Pay for one reply."""
        ...

    async def call_tool(self, request: ToolCallRequest) -> ToolCallResult:
        """Call one tool."""
        ...

    async def read_answer(self, request: AnswerRequest) -> JudgedAnswer:
        """Have the answer judged."""
        ...


class ActivityDoors:
    """The doors of a workflow: bounded by the budget's time, whatever is behind them."""

    def __init__(self, queue: str, time: str, began: datetime) -> None:
        self._queue = queue or names.AGENTS_QUEUE
        self._limit = duration(time)
        self._began = began

    def elapsed(self) -> float:
        """Seconds of workflow time: a replay counts the same."""
        return (workflow.now() - self._began).total_seconds()

    def _left(self) -> timedelta:
        return max(LEAST, self._limit - timedelta(seconds=self.elapsed()))

    async def open(self, request: OpeningRequest) -> Opening:
        """See `ConversationActivities.open_conversation`."""
        try:
            return await options.reasoning(self._left(), self._queue)(
                ConversationActivities.open_conversation,
                request,
                summary=f"put together what {request.request.name} is shown",
            )
        except ActivityError as error:
            raise _closed(error, "misdeclared") from error

    async def list_tools(self, request: ToolListRequest) -> ToolList:
        """See `ToolActivities.list_tools`."""
        try:
            return await options.reasoning(self._left(), self._queue)(
                ToolActivities.list_tools,
                request,
                summary=f"which of {len(request.allowed)} tools it has",
            )
        except ActivityError as error:
            raise _closed(error, "tools") from error

    async def call_model(self, request: ModelCallRequest, turn: int) -> ModelCallResult:
        """See `ModelActivities.call_model`."""
        left = self._left()
        bounded = min(left, options.MAX_CALL).total_seconds()
        try:
            return await options.reasoning(left, self._queue)(
                ModelActivities.call_model,
                request.model_copy(update={"timeout_seconds": bounded}),
                summary=f"turn {turn}: {request.model}"
                + (", must answer" if request.force_result else ""),
            )
        except ActivityError as error:
            raise _closed(error, "provider") from error

    async def call_tool(self, request: ToolCallRequest) -> ToolCallResult:
        """See `ToolActivities.call_tool`."""
        left, spec = self._left(), request.spec
        bounded = min(left.total_seconds(), request.timeout_seconds)
        try:
            return await options.reasoning(left, self._queue)(
                ToolActivities.call_tool,
                request.model_copy(update={"timeout_seconds": bounded}),
                summary=f"{request.evidence}: {spec.server or 'built in'}/{spec.tool}",
            )
        except ActivityError as error:
            raise _closed(error, "tools") from error

    async def read_answer(self, request: AnswerRequest) -> JudgedAnswer:
        """See `ConversationActivities.read_answer`."""
        try:
            return await options.reasoning(self._left(), self._queue)(
                ConversationActivities.read_answer,
                request,
                summary="look up what the answer cites",
            )
        except ActivityError as error:
            raise _closed(error, "provider") from error


def _closed(error: ActivityError, outcome: AgentOutcome) -> BaseException:
    """What the loop sees; a cancellation stays one."""
    return error if is_cancelled_exception(error) else Closed(outcome, reason(error))
