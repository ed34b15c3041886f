"""The question to a person: whether it must be asked, and the wait for its answer."""

from collections.abc import Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.models.objects import Plan
    from pilothouse.models.pipeline import Environment, duration
    from pilothouse.models.runs import DeploymentRequest

from workflows.deploying.approval import ApprovalDesk
from workflows.deploying.ending import Ended
from workflows.deploying.preparation import Prepared
from workflows.deploying.progress import Progress

POLICY = "the environment asks for an approval of every change"


def reason_to_ask(request: DeploymentRequest, environment: Environment, plan: Plan) -> str:
    """Why a person must decide on a plan; empty if nobody must.

    The prune budget counts for everything, rollbacks too: what is deleted is not put back.
    """
    deletes, budget = plan.counts.get("delete", 0), environment.prune_budget
    if deletes > budget:
        return f"the plan deletes {deletes} objects, and prune_budget is {budget}"
    if environment.approval.required and plan.changes_something and not request.restores:
        return POLICY
    return ""


async def ask(
    request: DeploymentRequest,
    prepared: Prepared,
    desk: ApprovalDesk,
    progress: Progress,
    give_up: Callable[[], bool],
) -> None:
    """Wait for a person's decision if one is needed; what it is, the desk knows.

    Raises:
        Ended: `expired`, nobody decided in time; `blocked`, there is nobody to ask.
    """
    why = reason_to_ask(request, prepared.environment, prepared.plan)
    if not why:
        desk.close("no approval is asked for here")
        return
    if request.unattended:
        raise Ended("blocked", f"{why}: a person must decide, and nobody is asked here")
    policy = prepared.environment.approval
    if why != POLICY:
        desk.note(f"a person is asked: {why}")
    desk.open(prepared.plan.digest, policy, prepared.snapshot.commit.people, workflow.now())
    window = duration(policy.expires)
    progress.deadline = workflow.now() + window
    progress.enter("approval")
    try:
        await workflow.wait_condition(
            lambda: desk.decision is not None or give_up(),
            timeout=window,
            timeout_summary=f"until the approval expires ({policy.expires})",
        )
    except TimeoutError:
        desk.close("the time to decide is over")
        raise Ended("expired", f"nobody decided within {policy.expires}") from None


def most_deletes(environment: Environment, plan: Plan, desk: ApprovalDesk) -> int:
    """How many objects an apply may delete: what a person agreed to, else the budget."""
    if desk.decision is not None and desk.decision.approved:
        return plan.counts.get("delete", 0)
    return environment.prune_budget
