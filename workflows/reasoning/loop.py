"""The loop itself: it holds the budget, the taint and the allow-list, and trusts no reply.

Everything here is a function of what came through the doors, so a replay decides the same.
"""

from collections.abc import Callable, Sequence
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops.agents.budget import Spent, next_call, spend
    from pilothouse.gitops.agents.prompting import ANSWER_HINT, FINAL_HINT
    from pilothouse.gitops.agents.verdict import conclude
    from pilothouse.models.agents import (
        AgentOutcome,
        AgentRequest,
        AgentResult,
        AnswerRequest,
        JudgedAnswer,
        OpeningRequest,
    )
    from pilothouse.models.model_calls import ModelCallRequest, ModelCallResult, ToolOutcome
    from pilothouse.models.tools import ToolListRequest

from workflows.reasoning.calls import ToolCalls
from workflows.reasoning.doors import Closed, Doors

UNUSABLE: Final[dict[str, AgentOutcome]] = {
    "max_tokens": "truncated",
    "end_turn": "malformed",
    "result": "malformed",
}
"""Replies that get one more try, and how the agent ends if that fails as well."""


class Loop:
    """One agent: `await Loop(request, doors, key, changed).run()` gives its result.

    `result` is what is known so far, at any time.
    """

    def __init__(
        self,
        request: AgentRequest,
        doors: Doors,
        key: str,
        changed: Callable[[AgentResult], None],
    ) -> None:
        """Prepare.

        Args:
            request: the task.
            doors: the ways out.
            key: `<workflow id>/<run id>`: what operation ids begin with.
            changed: told of each new state of the result.
        """
        self._request = request
        self._doors = doors
        self._key = key
        self._changed = changed
        self._spent = Spent()
        self._calls = ToolCalls(request, doors, key)
        self._conversation = ""
        self._definitions = ""
        self._grace = True
        """One unusable reply is forgiven."""
        self.result = AgentResult(
            outcome="running", verdict=request.rules, model=request.spec.model
        )

    async def run(self) -> AgentResult:
        """Until an answer, a bound or a fault. Never raises but for a cancellation."""
        try:
            await self._begin()
            judged = await self._converse()
        except Closed as end:
            self._end(end.outcome, str(end))
        else:
            self._answer(judged)
        return self.result

    def _end(self, outcome: AgentOutcome, message: str) -> None:
        """Without a usable answer: `on_error` says what counts."""
        weighed = conclude(self._request.rules, outcome, None, self._request.spec.on_error)
        self._update(
            outcome=outcome,
            verdict=weighed.verdict,
            needs_human=weighed.needs_human,
            message=f"{weighed.message}: {message}" if message else weighed.message,
        )

    def _answer(self, judged: JudgedAnswer) -> None:
        told = judged.model_dump(exclude={"hint", "findings"})
        self._update(**told, findings=judged.findings)

    async def _begin(self) -> None:
        opening = await self._doors.open(
            OpeningRequest(request=self._request, key=f"{self._key}/0")
        )
        self._conversation = opening.conversation
        self._calls.show(opening.shown, opening.readable)
        self._update(prompt=opening.prompt, transcript=opening.conversation, shown=opening.shown)
        tools = await self._doors.list_tools(
            ToolListRequest(
                allowed=self._request.spec.mcp_tools,
                servers=self._request.servers,
                read_only=self._request.read_only,
            )
        )
        self._definitions = tools.definitions
        self._calls.tools = tools.tools
        self._update(left_out=tools.left_out)

    async def _converse(self) -> JudgedAnswer:
        """Turn by turn; the answer, or `Closed`."""
        results: Sequence[ToolOutcome] = ()
        hint = ""
        must_answer = False
        unusable: Closed | None = None
        while True:
            may = next_call(self._spent, self._request.spec.budget, self._doors.elapsed())
            if may.may == "stop":
                # Without room for another try the reply is the cause, and not the budget.
                raise unusable or Closed(may.outcome or "budget", may.message)
            must_answer = must_answer or may.may == "answer"
            reply = await self._ask(results, hint, must_answer)
            results, hint = (), ""
            if reply.stop == "refusal":
                raise Closed("refused", "the model declined")
            if reply.stop == "tool_use":
                results = await self._calls.run(reply.tool_calls)
                self._update(tools=dict(self._calls.counts), shown=tuple(self._calls.shown))
                continue
            judged = await self._judge(reply)
            if judged is not None and judged.outcome == "answered":
                return judged
            problem = judged.message if judged is not None else reply.problem or "no answer came"
            unusable = Closed(UNUSABLE[reply.stop], problem)
            if not self._grace:
                raise unusable
            self._grace, must_answer = False, True
            hint = (judged.hint if judged is not None else "") or f"{reply.problem}. {ANSWER_HINT}"

    async def _ask(
        self, results: Sequence[ToolOutcome], hint: str, must_answer: bool
    ) -> ModelCallResult:
        turn = self._spent.turns + 1
        reply = await self._doors.call_model(
            ModelCallRequest(
                model=self._request.spec.model,
                conversation=self._conversation,
                results=tuple(results),
                hint=hint or (FINAL_HINT if must_answer else ""),
                tools=self._definitions,
                force_result=must_answer,
                key=f"{self._key}/{self._calls.number()}",
            ),
            turn,
        )
        self._conversation = reply.conversation
        self._spent = spend(self._spent, reply.usage)
        self._update(
            turns=self._spent.turns,
            usage=self._spent.usage,
            transcript=reply.conversation,
            model=reply.model or self._request.spec.model,
        )
        return reply

    async def _judge(self, reply: ModelCallResult) -> JudgedAnswer | None:
        if reply.stop != "result" or reply.result is None:
            return None
        return await self._doors.read_answer(
            AnswerRequest(
                key=f"{self._key}/0",
                answer=reply.result,
                shown=tuple(self._calls.shown),
                rules=self._request.rules,
                on_error=self._request.spec.on_error,
            )
        )

    def _update(self, **fields: object) -> None:
        seconds = self._doors.elapsed()
        self.result = self.result.model_copy(update={**fields, "seconds": seconds})
        self._changed(self.result)
