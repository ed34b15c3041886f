"""Asking an agent for advice, in a workflow of its own: it never stops who asks."""

from collections.abc import Callable

from temporalio import workflow
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.material import MaterialActivities
    from pilothouse.gitops.agents.verdict import conclude
    from pilothouse.models import names
    from pilothouse.models.agents import AgentRequest, AgentResult, JudgedFinding
    from pilothouse.models.material import MAX_MATERIAL, MaterialRequest
    from pilothouse.models.runs import SupersedeClaim

from workflows import options
from workflows.visibility import reason

MAX_FINDINGS = 10
MAX_FINDINGS_BYTES = 8 * 1024
"""Advice stays in the results of its stage, its run and its deployment; the agent's own has all."""

BYTES_PER_TOKEN = 3
TURNS_WITH_MATERIAL = 4
"""So often the material must fit into the budget: every turn reads all of it again."""


async def consult(
    request: AgentRequest, show: MaterialRequest, superseded: Callable[[], str]
) -> AgentResult:
    """Ask an agent, and bring back what is to be made of it; hang up when it is superseded.

    Whatever goes wrong on the way is an outcome for which the agent's `on_error` says what counts.
    Without a model nobody is asked, and the rules decide.

    Args:
        request: the task, without its material.
        show: what the material is made of.
        superseded: the newer revision that takes over; empty: none does.

    Raises:
        FailureError: only if the workflow that asks is cancelled.
    """
    if not request.spec.model:
        message = "no model is configured"
        return AgentResult(outcome="rules_only", verdict=request.rules, message=message)
    try:
        result = await _ask(await _shown(request, show), superseded)
    except (FailureError, WorkflowAlreadyStartedError) as error:
        if workflow.cancellation_reason() is not None:
            raise
        weighed = conclude(request.rules, "provider", None, request.spec.on_error)
        result = AgentResult(
            outcome="provider",
            verdict=weighed.verdict,
            needs_human=weighed.needs_human,
            model=request.spec.model,
            message=f"{weighed.message}: {reason(error)}",
        )
    return _travelling(result.model_copy(update={"rules": request.rules}))


async def _shown(request: AgentRequest, show: MaterialRequest) -> AgentRequest:
    room = min(MAX_MATERIAL, request.spec.budget.tokens * BYTES_PER_TOKEN // TURNS_WITH_MATERIAL)
    gathered = await options.WORKSPACE(
        MaterialActivities.gather_material,
        show.model_copy(update={"room": room}),
        summary=f"gather what {request.name} is shown",
    )
    task = f"{request.task} {gathered.left_out}".strip()
    return request.model_copy(update={"material": gathered.material, "task": task})


async def _ask(request: AgentRequest, superseded: Callable[[], str]) -> AgentResult:
    if by := superseded():
        return _replaced(request, by)
    asked = await workflow.start_child_workflow(
        names.AGENT_WORKFLOW,
        request,
        id=names.agent_id(workflow.info().workflow_id, request.name),
        result_type=AgentResult,
        parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
        static_summary=f"ask {request.spec.model}, as {request.name}",
    )
    await workflow.wait_condition(lambda: asked.done() or bool(superseded()))
    if not asked.done():
        try:
            await asked.signal(names.SIGNAL_SUPERSEDE, SupersedeClaim(by=superseded()))
        except FailureError:
            workflow.logger.info("the agent ended before it could be told")
    result: AgentResult = await asked
    return result


def _replaced(request: AgentRequest, by: str) -> AgentResult:
    return AgentResult(
        outcome="superseded",
        verdict=request.rules,
        model=request.spec.model,
        message=f"replaced by {names.short(by)} before it was asked",
    )


def _travelling(result: AgentResult) -> AgentResult:
    """Without what only the agent's own workflow needs to say."""
    kept: list[JudgedFinding] = []
    size = 0
    for finding in result.findings[:MAX_FINDINGS]:
        size += len(finding.model_dump_json().encode())
        if size > MAX_FINDINGS_BYTES:
            break
        kept.append(finding)
    return result.model_copy(
        update={
            "findings": tuple(kept),
            "omitted": result.omitted + len(result.findings) - len(kept),
            "hypotheses": result.hypotheses[:MAX_FINDINGS],
            "left_out": result.left_out[:MAX_FINDINGS],
            "shown": (),
            "report": "",
        }
    )
