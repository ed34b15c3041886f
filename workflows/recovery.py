"""What a deployment tells its environment, and what it does when it failed."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.models import names
    from pilothouse.models.environment import Hold, HoldRequest, LockAnswer, Release
    from pilothouse.models.objects import Plan
    from pilothouse.models.pipeline import Environment
    from pilothouse.models.runs import (
        DeploymentRequest,
        ReleaseRecord,
        RollbackRequest,
        RollbackResult,
    )

from workflows.lock import EnvironmentLock


async def record_good(request: DeploymentRequest, plan: Plan, lock: EnvironmentLock) -> None:
    """Tell the environment that the revision works; only a new one lifts a rollback's hold."""
    release = _release(request, plan).model_copy(update={"outcome": "good"})
    record = ReleaseRecord(release=release, lift_rollback_hold=not request.rollback)
    await lock.tell(names.SIGNAL_RECORD_RELEASE, record)


async def record_bad(
    request: DeploymentRequest, plan: Plan, lock: EnvironmentLock, why: str
) -> None:
    """Tell the environment that the revision does not work there."""
    release = _release(request, plan).model_copy(update={"outcome": "bad", "reason": why})
    await lock.tell(names.SIGNAL_RECORD_RELEASE, ReleaseRecord(release=release))


def _release(request: DeploymentRequest, plan: Plan) -> Release:
    return Release(
        revision=request.revision,
        plan=plan.digest,
        outcome="good",
        at=workflow.now().isoformat(),
        deployment=workflow.info().workflow_id,
    )


def reason_not_to_roll_back(environment: Environment, lease: LockAnswer) -> str:
    """Why a failed deployment is left to a person; empty if it is rolled back."""
    if lease.last_good is None:
        return "nothing was good here before"
    return "the environment says rollback: manual" if environment.rollback == "manual" else ""


async def hold(request: DeploymentRequest, lock: EnvironmentLock, why: str) -> None:
    """Pause automation until a newer revision proves good, or a person resumes."""
    wanted = Hold(
        kind="rollback",
        reason=why,
        by=workflow.info().workflow_id,
        since=workflow.now().isoformat(),
        bad_revision=request.revision,
    )
    await lock.tell(names.SIGNAL_SET_HOLD, HoldRequest(hold=wanted))


async def roll_back(request: DeploymentRequest, lease: LockAnswer, why: str) -> RollbackResult:
    """The one automatic rollback, under the lease that the failed deployment goes on holding."""
    repository, environment = request.repository, request.environment
    attempt = names.short(request.revision)
    result: RollbackResult = await workflow.execute_child_workflow(
        names.ROLLBACK_WORKFLOW,
        RollbackRequest(
            repository=repository,
            environment=environment,
            request_id=attempt,
            bad_revision=request.revision,
            reason=why,
            requested_by=workflow.info().workflow_id,
            run=request.run,
            lease=lease,
        ),
        id=names.rollback_id(repository.slug, environment, attempt),
        result_type=RollbackResult,
        static_summary=f"put the last good revision back: {why}"[:200],
    )
    return result
