"""One agent's part of a run: a durable loop of model calls and tool calls, within a budget."""

import asyncio
from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops.agents.verdict import conclude
    from pilothouse.gitops.reports.agents import agent_report
    from pilothouse.models import names
    from pilothouse.models.agents import AgentRequest, AgentResult
    from pilothouse.models.runs import SupersedeClaim

from workflows.reasoning.doors import ActivityDoors
from workflows.reasoning.loop import Loop
from workflows.visibility import publish


@workflow.defn(name=names.AGENT_WORKFLOW)
class AgentWorkflow:
    """Asks a model until it answers, within a budget, and has the answer judged.

    Id: `<run id>/<agent>`. It ends with an `AgentResult` whatever the model or the servers do. It
    writes nothing: what comes of its verdict is the run's affair.
    """

    @workflow.init
    def __init__(self, request: AgentRequest) -> None:
        self._request = request
        self._superseded = ""
        info = workflow.info()
        self._loop = Loop(
            request,
            ActivityDoors(request.spec.task_queue, request.spec.budget.time, workflow.now()),
            f"{info.workflow_id}/{info.run_id}",
            self._show,
        )

    @workflow.run
    async def run(self, request: AgentRequest) -> AgentResult:
        """Loop; when a newer revision takes over, hang up at once."""
        publish(repository=request.repository.slug, revision=request.revision, phase=request.name)
        thinking = asyncio.create_task(self._loop.run())
        try:
            await workflow.wait_condition(lambda: thinking.done() or bool(self._superseded))
        finally:
            thinking.cancel()
            await asyncio.gather(thinking, return_exceptions=True)
        result = self._loop.result if self._superseded else thinking.result()
        if self._superseded:
            weighed = conclude(request.rules, "superseded", None, request.spec.on_error)
            result = result.model_copy(
                update={
                    "outcome": "superseded",
                    "verdict": weighed.verdict,
                    "message": f"replaced by {names.short(self._superseded)}",
                }
            )
        report = agent_report(request, result, over=True)
        workflow.set_current_details(report)
        publish(phase="done", outcome=result.outcome)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result.model_copy(update={"report": report})

    @workflow.signal(
        name=names.SIGNAL_SUPERSEDE, description='Hang up at once: {"by": "the newer revision"}.'
    )
    def supersede(self, claim: SupersedeClaim) -> None:
        """A newer head replaces the run."""
        self._superseded = claim.by or "a newer revision"

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _args: Sequence[RawValue]) -> None:
        """Take no notice of what an agent does not understand: nobody gives it orders."""
        workflow.logger.warning("dropped the unknown signal %r", name[:60])

    @workflow.query(name=names.QUERY_STATE, description="Turns, tools, tokens, cost so far.")
    def state(self) -> AgentResult:
        """What it has used, and how it ended if it did."""
        return self._loop.result

    def _show(self, result: AgentResult) -> None:
        workflow.set_current_details(agent_report(self._request, result, over=False))
