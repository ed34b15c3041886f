"""What a deployment tells its environment, and what it does when it failed."""

from typing import Literal, NoReturn

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.models import names
    from pilothouse.models.environment import Hold, HoldRequest, LockAnswer, Release
    from pilothouse.models.runs import (
        DeploymentRequest,
        ReleaseRecord,
        RollbackRequest,
        RollbackResult,
    )

from workflows.deploying.ending import Ended
from workflows.deploying.preparation import Prepared
from workflows.deploying.progress import Progress
from workflows.lock import EnvironmentLock


async def record_good(
    request: DeploymentRequest, prepared: Prepared, lock: EnvironmentLock
) -> None:
    """Tell the environment that the revision works; only a new one lifts a rollback's hold.

    A correction put back what is known to be good already.
    """
    if not request.correction:
        record = ReleaseRecord(
            release=_release(request, prepared, "good"), lift_rollback_hold=not request.rollback
        )
        await lock.tell(names.SIGNAL_RECORD_RELEASE, record)


def _release(
    request: DeploymentRequest, prepared: Prepared, outcome: Literal["good", "bad"], why: str = ""
) -> Release:
    return Release(
        revision=request.revision,
        plan=prepared.plan.digest,
        outcome=outcome,
        at=workflow.now().isoformat(),
        deployment=workflow.info().workflow_id,
        reason=why,
        bundle=prepared.bundle,
        forced=request.forced,
    )


async def recover(
    request: DeploymentRequest,
    prepared: Prepared,
    lease: LockAnswer,
    lock: EnvironmentLock,
    progress: Progress,
    why: str,
) -> NoReturn:
    """After a failure: at most one rollback, to what was good here; otherwise a hold.

    Raises:
        Ended: always; `rolled_back` or `failed`.
    """
    if request.correction:
        raise Ended("failed", f"the last good release was put back and does not work: {why}")
    bad = ReleaseRecord(release=_release(request, prepared, "bad", why))
    await lock.tell(names.SIGNAL_RECORD_RELEASE, bad)
    if request.rollback:
        raise Ended("failed", f"the rollback does not work either: {why}")
    if obstacle := _reason_not_to_roll_back(prepared, lease):
        told = f"{names.short(request.revision)} failed: {why} ({obstacle})"
        await _hold(request, lease, lock, told)
        raise Ended("failed", f"{why}; not rolled back ({obstacle})")
    progress.enter("rollback")
    rollback = await _roll_back(request, lease, why)
    progress.update(rollback=rollback)
    worked = rollback.outcome == "rolled_back"
    if worked:
        lock.wrote = rollback.revert_commit or rollback.to_revision
    raise Ended("rolled_back" if worked else "failed", f"{why.rstrip('.')}; {rollback.message}")


def _reason_not_to_roll_back(prepared: Prepared, lease: LockAnswer) -> str:
    """Why a failed deployment is left to a person; empty if it is rolled back."""
    if lease.last_good is None:
        return "nothing was good here before"
    manual = prepared.environment.rollback == "manual"
    return "the environment says rollback: manual" if manual else ""


def failed_again(lease: LockAnswer) -> bool:
    """Whether this failure follows another one, with nothing good between the two."""
    held = lease.hold is not None and lease.hold.kind == "rollback"
    return held and lease.last_good is not None


async def _hold(
    request: DeploymentRequest, lease: LockAnswer, lock: EnvironmentLock, why: str
) -> None:
    """Pause automation until a newer revision proves good, or, the second time, for a person."""
    wanted = Hold(
        kind="frozen" if failed_again(lease) else "rollback",
        reason=why,
        by=workflow.info().workflow_id,
        since=workflow.now().isoformat(),
        bad_revision=request.revision,
    )
    await lock.tell(names.SIGNAL_SET_HOLD, HoldRequest(hold=wanted))


async def _roll_back(request: DeploymentRequest, lease: LockAnswer, why: str) -> RollbackResult:
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
