"""The last good revision back, through Git: revert commit, deployment, hold."""

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ChildWorkflowError,
    FailureError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.git import GitActivities
    from activities.workspace import WorkspaceActivities
    from pilothouse.gitops.reports import rollback_report
    from pilothouse.models import names
    from pilothouse.models.environment import (
        Hold,
        HoldRequest,
        LockAnswer,
        LockProbe,
        LockRequest,
        Release,
    )
    from pilothouse.models.repository import OwnCommit
    from pilothouse.models.runs import (
        DeploymentRequest,
        DeploymentResult,
        ReleaseRecord,
        RollbackRequest,
        RollbackResult,
    )
    from pilothouse.models.steps import CommitRequest, HeadRequest, SnapshotRequest

from workflows import options
from workflows.commits import publish_commit
from workflows.deploying.recovery import failed_again
from workflows.lock import EnvironmentLock
from workflows.visibility import error_type, publish, reason, started_by_us


class Ended(Exception):
    """The rollback is over, with this result."""

    def __init__(self, result: RollbackResult) -> None:
        super().__init__(result.message)
        self.result = result


@workflow.defn(name=names.ROLLBACK_WORKFLOW)
class RollbackWorkflow:
    """Puts a named or the last good revision back, so that Git and the cluster agree.

    Id: `rollback/<host>/<path>/<environment>/<request id>`. In this order, so that a crash between
    two steps never leaves a cluster that Git does not describe: hold, revert commit, deployment of
    that commit. A rollback that fails freezes the environment; it is never rolled back itself.
    """

    @workflow.init
    def __init__(self, request: RollbackRequest) -> None:
        self._request = request
        self._lock = EnvironmentLock(request.repository, request.environment, request.lease)
        self._result = RollbackResult(outcome="failed", bad_revision=request.bad_revision)
        self._frozen = False

    @workflow.run
    async def run(self, request: RollbackRequest) -> RollbackResult:
        """Hold, revert, deploy, and say whether it helped."""
        publish(repository=request.repository.slug, environment=request.environment)
        try:
            if request.lease is not None and not started_by_us():
                message = "lease is not for requests by hand"
                raise Ended(RollbackResult(outcome="failed", message=message))
            undo = request.bad_revision or await self._head()
            lease = await self._acquire(undo)
            last_good = lease.last_good.revision if lease.last_good else ""
            bad = request.bad_revision or lease.current or last_good or undo
            good = await self._choose(lease, bad)
            await self._hold(*self._severity(lease, bad), bad)
            revert = await self._revert(undo, good.revision)
            await self._deploy(revert or good.revision, good, lease)
            if revert and not request.run and self._result.outcome == "rolled_back":
                await self._converge(revert)
        except Ended as end:
            self._show("done", end.result)
        except (ActivityError, ChildWorkflowError) as error:
            if is_cancelled_exception(error):
                raise
            await self._freeze(reason(error), error_type(error) == "RevertConflict")
        finally:
            await self._lock.release()
        publish(phase="done", outcome=self._result.outcome, revision=self._result.to_revision)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._result

    async def _head(self) -> str:
        request = self._request
        head = await options.GIT_LOOK(
            GitActivities.read_head,
            HeadRequest(repository=request.repository, ref=request.repository.default_ref),
            summary=f"read the head of {request.repository.default_branch}",
        )
        if not head.revision:
            message = f"the branch {request.repository.default_branch} does not exist"
            raise Ended(RollbackResult(outcome="failed", message=message))
        return head.revision

    async def _acquire(self, bad: str) -> LockAnswer:
        self._show("lock")
        answer = await self._lock.acquire(
            LockRequest(holder=workflow.info().workflow_id, revision=bad, rollback=True)
        )
        if answer is None or not answer.granted:
            message = answer.reason if answer else "the lock was not answered"
            raise Ended(RollbackResult(outcome="on_hold", bad_revision=bad, message=message))
        return answer

    def _severity(self, lease: LockAnswer, bad: str) -> tuple[str, str]:
        """The kind of hold, and why: a second failure in a row is for a person to look at."""
        why = f"{names.short(bad)} failed: {self._request.reason}"
        if self._request.lease is not None and failed_again(lease):
            return "frozen", f"{why}; the one before it failed too"
        return "rollback", why

    async def _choose(self, lease: LockAnswer, bad: str) -> Release:
        """The named revision, or the newest that was good here and is not the bad one.

        It skips the approval, so it goes back only to what had one, and worked. A person may call
        a revision bad that passed every check; the environment remembers it.
        """
        past = {release.revision: release for release in lease.good}
        blamed = past.pop(bad, None)
        good = self._request.to_revision or next(reversed(past), "")
        if good not in past:
            message = "there is no earlier revision that was healthy here"
            if good:
                message = f"{names.short(good)} is not among the last that were healthy here"
            raise Ended(RollbackResult(outcome="nothing_good", bad_revision=bad, message=message))
        if blamed is not None:
            update = {"outcome": "bad", "reason": self._request.reason}
            record = ReleaseRecord(release=blamed.model_copy(update=update))
            await self._lock.tell(names.SIGNAL_RECORD_RELEASE, record)
        self._result = self._result.model_copy(update={"bad_revision": bad, "to_revision": good})
        return past[good]

    async def _revert(self, bad: str, good: str) -> str:
        """Make and push the revert commit; returns its id.

        Empty if the branch has moved on from the bad revision: what is newer may be the fix, has
        a run of its own, and must not be mixed with what was good.
        """
        self._show("revert")
        request = self._request
        message = (
            f"Revert to {names.short(good)}: {names.short(bad)} failed in {request.environment}\n\n"
            f"{request.reason[:500]}\n\n"
            f"Pilothouse-Operation: {workflow.info().workflow_id}\n"
            f"Pilothouse-Run: {request.run or request.requested_by or 'none'}\n"
        )
        commit = CommitRequest(
            repository=request.repository,
            branch=request.repository.default_branch,
            kind="revert",
            message=message,
            when=workflow.info().start_time.isoformat(),
            bad=bad,
            good=good,
        )
        revert = await publish_commit(commit, before=self._announce, only_on=bad)
        self._result = self._result.model_copy(update={"revert_commit": revert})
        return revert

    async def _announce(self, revision: str) -> None:
        """Tell the repository that the commit is ours before anyone can see it."""
        entity = names.repository_id(self._request.repository.slug)
        own = OwnCommit(revision=revision, run=self._request.run or workflow.info().workflow_id)
        try:
            handle = workflow.get_external_workflow_handle(entity)
            await handle.signal(names.SIGNAL_OWN_COMMIT, own)
        except FailureError:
            workflow.logger.info("no repository workflow runs: the revert needs no announcement")

    async def _deploy(self, revision: str, good: Release, lease: LockAnswer) -> None:
        self._show("deploying")
        request = self._request
        self._lock.wrote = revision
        deployment: DeploymentResult = await workflow.execute_child_workflow(
            names.DEPLOYMENT_WORKFLOW,
            DeploymentRequest(
                repository=request.repository,
                revision=revision,
                environment=request.environment,
                run=request.run,
                rollback=True,
                expected_plan=good.plan,
                restore=good.bundle,
                unattended=request.lease is not None,
                lease=lease,
            ),
            id=names.deployment_id(request.repository.slug, request.environment, revision),
            result_type=DeploymentResult,
            static_summary=f"deploy {names.short(revision)}, the way back",
        )
        if deployment.outcome != "deployed":
            await self._freeze(f"it was not deployed: {deployment.message}", True)
            return
        update = {
            "outcome": "rolled_back",
            "health": deployment.health,
            "message": self._how(good.revision, deployment),
        }
        self._show("done", self._result.model_copy(update=update))

    def _how(self, good: str, deployment: DeploymentResult) -> str:
        revert = self._result.revert_commit
        how = f"by revert commit {names.short(revert)}"
        if not revert:
            how = f"without a revert: {self._request.repository.default_branch} has moved on"
        held = "frozen until a person resumes" if self._frozen else "on hold"
        said = f"rolled back to {names.short(good)} {how}; {held}"
        return f"{said}; {deployment.remark}" if deployment.remark else said

    async def _converge(self, revert: str) -> None:
        """Started by hand: the environments before this one take the revert by their own policy.

        The branch says the revert now, and Git and cluster must not disagree. In a run, the
        pipeline sees to that.
        """
        request = self._request
        for environment in await self._environments_before(revert):
            deployment: DeploymentResult = await workflow.execute_child_workflow(
                names.DEPLOYMENT_WORKFLOW,
                DeploymentRequest(
                    repository=request.repository, revision=revert, environment=environment
                ),
                id=names.deployment_id(request.repository.slug, environment, revert),
                result_type=DeploymentResult,
                static_summary=f"the revert to {environment}",
            )
            message = f"{self._result.message}; {environment}: {deployment.outcome}"
            self._show("done", self._result.model_copy(update={"message": message}))

    async def _environments_before(self, revision: str) -> tuple[str, ...]:
        snapshot = await options.GIT(
            GitActivities.take_snapshot,
            SnapshotRequest(repository=self._request.repository, revision=revision),
            summary="read the reverted repository",
        )
        load = await options.WORKSPACE(
            WorkspaceActivities.load_pipeline, snapshot, summary="read the pipeline file"
        )
        return load.pipeline.before(self._request.environment) if load.pipeline else ()

    async def _freeze(self, why: str, by_design: bool) -> None:
        """Nothing automatic may touch the environment any more: a person must look."""
        await self._hold("frozen", f"the rollback failed: {why}", self._result.bad_revision)
        outcome = "conflict" if by_design and not self._result.revert_commit else "failed"
        message = f"{why}; the environment is frozen until a person resumes it"
        self._show("done", self._result.model_copy(update={"outcome": outcome, "message": message}))

    async def _hold(self, kind: str, why: str, bad: str) -> None:
        self._frozen = kind == "frozen"
        hold = Hold.model_validate({
            "kind": kind,
            "reason": why,
            "by": workflow.info().workflow_id,
            "since": workflow.now().isoformat(),
            "bad_revision": bad,
        })
        await self._lock.tell(names.SIGNAL_SET_HOLD, HoldRequest(hold=hold))

    @workflow.signal(
        name=names.SIGNAL_LOCK_ANSWERED, description="The environment answers a lock request."
    )
    def lock_answered(self, answer: LockAnswer) -> None:
        """Forwarded to the lock."""
        self._lock.answered(answer)

    @workflow.signal(
        name=names.SIGNAL_LOCK_PROBED, description="The environment asks whether we still run."
    )
    def lock_probed(self, _probe: LockProbe) -> None:
        """That it could be delivered is the answer: a rollback goes on to its end."""

    @workflow.query(name=names.QUERY_STATE, description="The result so far.")
    def state(self) -> RollbackResult:
        """What is known so far."""
        return self._result

    def _show(self, phase: str, result: RollbackResult | None = None) -> None:
        self._result = result or self._result
        workflow.set_current_details(rollback_report(phase, self._request, self._result))
