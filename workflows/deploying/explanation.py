"""The plan in a model's words, for the person who decides about it."""

from collections.abc import Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops.reports.agents import advice_line
    from pilothouse.models.agents import AgentRequest
    from pilothouse.models.material import MaterialRequest
    from pilothouse.models.runs import DeploymentRequest

from workflows.advice import consult
from workflows.deploying.ending import Ended
from workflows.deploying.preparation import Prepared
from workflows.deploying.progress import Progress

TASK = "Explain the plan to who decides about it: what it changes, and what could go wrong."


async def explain(
    request: DeploymentRequest,
    prepared: Prepared,
    progress: Progress,
    superseded: Callable[[], str],
) -> DeploymentRequest:
    """Ask the deployer's model about the plan, if it has one; no model, no delay.

    Not about what puts back what a person approved and what was healthy, and not about a plan that
    changes nothing.

    Returns:
        The request, which asks for a person if the model does.

    Raises:
        Ended: `blocked`, by the model or because there is no answer and `on_error` is `fail`.
    """
    task = _task(request, prepared)
    if task is None or request.restores or not prepared.plan.changes_something:
        return request
    progress.enter("explaining")
    # The changes stand in the review; without the list the payload stays small.
    plan = prepared.plan.model_copy(update={"changes": ()})
    show = MaterialRequest(plan=plan, validation=progress.result.validation)
    advice = await consult(task, show, superseded)
    progress.update(advice=advice)
    if advice.verdict == "block" and advice.outcome != "superseded":
        raise Ended("blocked", f"{task.name}: {advice_line(advice)}")
    if not advice.needs_human:
        return request
    why = "; ".join(filter(None, (request.ask, f"{task.name}: {advice_line(advice)}")))
    return request.model_copy(update={"ask": why})


def _task(request: DeploymentRequest, prepared: Prepared) -> AgentRequest | None:
    """What the first deployer with a model is asked."""
    pipeline = prepared.pipeline
    for name, agent in pipeline.agents.items():
        if pipeline.role_of(name) == "deployer" and agent.model:
            return AgentRequest(
                repository=request.repository,
                revision=request.revision,
                run=request.run or workflow.info().workflow_id,
                name=name,
                role="deployer",
                spec=agent,
                servers=pipeline.mcp_servers,
                tree=prepared.snapshot.tree,
                read_only=False,
                task=TASK,
            )
    return None
