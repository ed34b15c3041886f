"""The question to a person: whether it must be asked, and the wait for its answer."""

from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.ledgers import LedgerActivities
    from pilothouse.models.objects import Plan
    from pilothouse.models.pipeline import Environment, duration
    from pilothouse.models.runs import DeploymentRequest
    from pilothouse.models.steps import LedgerRequest

from workflows import options
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
    if request.ask and plan.changes_something:
        return request.ask
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
    desk.owned_by(await _owner(request))
    desk.open(prepared.plan.digest, policy, prepared.snapshot.commit.people, workflow.now())
    progress.update(asked=why)
    progress.deadline = workflow.now() + duration(policy.expires)
    progress.enter("approval")
    try:
        await _decided(request, desk, progress.deadline, give_up)
    except TimeoutError:
        desk.close("the time to decide is over")
        raise Ended("expired", f"nobody decided within {policy.expires}") from None


async def _decided(
    request: DeploymentRequest, desk: ApprovalDesk, deadline: datetime, give_up: Callable[[], bool]
) -> None:
    """Wait for a decision that counts, also under an owner who came while people thought.

    Raises:
        TimeoutError: it is past the deadline.
    """
    while desk.decision is None and not give_up():
        await workflow.wait_condition(
            lambda: desk.decision is not None or give_up(),
            timeout=max(deadline - workflow.now(), timedelta(seconds=1)),
            timeout_summary="until the approval expires",
        )
        if desk.decision is not None and desk.decision.approved:
            desk.owned_by(await _owner(request))


async def _owner(request: DeploymentRequest) -> str:
    entry = await options.WORKSPACE(
        LedgerActivities.read_release,
        LedgerRequest(
            repository=request.repository,
            environment=request.environment,
            revision=request.revision,
        ),
        summary=f"read who owns {request.environment}",
    )
    return entry.owner


def most_deletes(environment: Environment, plan: Plan, desk: ApprovalDesk) -> int:
    """How many objects an apply may delete: what a person agreed to, else the budget."""
    if desk.decision is not None and desk.decision.approved:
        return plan.counts.get("delete", 0)
    return environment.prune_budget
