"""One revision into one environment: plan, gate, approve, lock, apply, health, record, recover."""

from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops.reports import deployment_report
    from pilothouse.models import names
    from pilothouse.models.environment import (
        DecideClaim,
        Decision,
        DecisionClaim,
        LockAnswer,
        LockKey,
        LockRequest,
    )
    from pilothouse.models.objects import Plan
    from pilothouse.models.pipeline import duration
    from pilothouse.models.runs import (
        DeploymentOutcome,
        DeploymentRequest,
        DeploymentResult,
        SupersedeClaim,
    )

from workflows import recovery, rollout
from workflows.approval import ApprovalDesk, as_decision, describe_unknown
from workflows.lock import EnvironmentLock
from workflows.preparation import Ended, Prepared, prepare
from workflows.visibility import publish, reason, started_by_us

SIGNALS = (names.SIGNAL_APPROVE, names.SIGNAL_REJECT, names.SIGNAL_SUPERSEDE)


@workflow.defn(name=names.DEPLOYMENT_WORKFLOW)
class DeploymentWorkflow:
    """Deploys one revision to one environment, or says why not.

    Id: `deployment/<host>/<path>/<environment>/<revision>`. It ends with a `DeploymentResult`
    whatever happens; only cancellation and bugs of ours end it otherwise. The lock is released by
    its end, whatever the end.
    """

    @workflow.init
    def __init__(self, request: DeploymentRequest) -> None:
        self._request = request
        self._phase = "planning"
        self._started = workflow.now()
        self._superseded = ""
        self._applying = False
        self._deadline: datetime | None = None
        self._desk = ApprovalDesk()
        self._lock = EnvironmentLock(request.repository, request.environment, request.lease)
        self._result = DeploymentResult(
            outcome="failed",
            environment=request.environment,
            revision=request.revision,
            deployment=workflow.info().workflow_id,
        )

    @workflow.run
    async def run(self, request: DeploymentRequest) -> DeploymentResult:
        """Deploy; see ARCHITECTURE section 5 for the steps and their order."""
        publish(
            repository=request.repository.slug,
            environment=request.environment,
            revision=request.revision,
        )
        try:
            self._enter("planning")
            if (request.rollback or request.lease is not None) and not started_by_us():
                raise Ended("blocked", "rollback and lease are not for requests by hand")
            prepared = await prepare(request, self._update)
            self._stop_if_superseded()
            await self._approve(prepared)
            lease = await self._acquire(prepared.plan)
            await self._apply(prepared, lease)
            await self._await_health(prepared, lease)
            await self._verify(prepared)
            await recovery.record_good(request, prepared.plan, self._lock)
            self._finish("deployed", self._result.message)
        except Ended as end:
            self._finish(end.outcome, str(end))
        except (ActivityError, ChildWorkflowError) as error:
            if is_cancelled_exception(error):
                raise
            self._finish("failed", reason(error))
        finally:
            self._desk.close("the deployment has ended")
            await self._lock.release()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._result

    # -- decide -----------------------------------------------------------------------------------

    async def _approve(self, prepared: Prepared) -> None:
        plan, policy = prepared.plan, prepared.environment.approval
        changes = any(count for action, count in plan.counts.items() if action != "unchanged")
        if self._request.rollback or not policy.required or not changes:
            self._desk.close("no approval is asked for here")
            return
        authors = prepared.snapshot.commit.people
        self._desk.open(plan.digest, policy, authors, workflow.now())
        window = duration(policy.expires)
        self._deadline = workflow.now() + window
        self._enter("approval")
        try:
            await workflow.wait_condition(
                lambda: self._desk.decision is not None or bool(self._superseded),
                timeout=window,
                timeout_summary=f"until the approval expires ({policy.expires})",
            )
        except TimeoutError:
            self._desk.close("the time to decide is over")
            raise Ended("expired", f"nobody decided within {policy.expires}") from None
        self._stop_if_superseded()
        self._stop_if_rejected()

    async def _acquire(self, plan: Plan) -> LockAnswer:
        self._enter("lock")
        answer = await self._lock.acquire(
            LockRequest(
                holder=workflow.info().workflow_id,
                revision=self._request.revision,
                seen_fencing=plan.fencing,
                rollback=self._request.rollback,
            ),
            give_up=lambda: bool(self._superseded) or self._desk.rejected,
        )
        self._stop_if_superseded()
        # A rejection still counts after an approval, as long as nothing is written.
        self._stop_if_rejected()
        if answer is None or not answer.granted:
            raise Ended("on_hold", answer.reason if answer else "the lock was not answered")
        return answer

    async def _apply(self, prepared: Prepared, lease: LockAnswer) -> None:
        self._applying = True
        self._desk.close("it is writing already")
        self._enter("applying")
        applied = await rollout.apply(self._request, prepared, lease)
        self._update(apply=applied)
        if not applied.ok:
            await self._recover(prepared, lease, applied.message)

    async def _await_health(self, prepared: Prepared, lease: LockAnswer) -> None:
        self._enter("health")
        health = await rollout.await_health(prepared)
        self._update(health=health, diagnosis=health.diagnoses[0] if health.diagnoses else None)
        if not health.healthy:
            await self._recover(prepared, lease, rollout.why_unhealthy(health))
        self._update(message=f"healthy after {health.seconds:.1f} s")

    async def _verify(self, prepared: Prepared) -> None:
        """A difference is said and is no failure: an autoscaler may have been quick."""
        try:
            drift = await rollout.read_back(self._request, prepared)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            self._update(message=f"{self._result.message}; not read back: {reason(error)}")
            return
        self._update(drift=drift)
        if drift is not None and not drift.clean:
            differ = ", ".join(str(each) for each in (*drift.drifted, *drift.missing)[:3])
            self._update(message=f"{self._result.message}, but it differs already: {differ}")

    async def _recover(self, prepared: Prepared, lease: LockAnswer, why: str) -> NoReturn:
        """At most one rollback, to what was good here; otherwise a hold."""
        request = self._request
        await recovery.record_bad(request, prepared.plan, self._lock, why)
        if request.rollback:
            raise Ended("failed", f"the rollback does not work either: {why}")
        if obstacle := recovery.reason_not_to_roll_back(prepared.environment, lease):
            told = f"{names.short(request.revision)} failed: {why} ({obstacle})"
            await recovery.hold(request, self._lock, told)
            raise Ended("failed", f"{why}; not rolled back ({obstacle})")
        self._enter("rollback")
        rollback = await recovery.roll_back(request, lease, why)
        self._update(rollback=rollback)
        worked = rollback.outcome == "rolled_back"
        raise Ended("rolled_back" if worked else "failed", f"{why.rstrip('.')}; {rollback.message}")

    @workflow.signal(
        name=names.SIGNAL_APPROVE,
        description='Approve the plan: {"by": "you@example.org", "plan": "its digest"}.',
    )
    def approve(self, claim: DecisionClaim) -> None:
        """A claim: answered in the state and in the details, since a signal has no answer."""
        self._judge(as_decision(claim, approve=True))

    @workflow.signal(
        name=names.SIGNAL_REJECT,
        description='Reject the plan: {"by": "you", "plan": "its digest", "reason": "why"}.',
    )
    def reject(self, claim: DecisionClaim) -> None:
        """As `approve`."""
        self._judge(as_decision(claim, approve=False))

    @workflow.update(
        name=names.UPDATE_DECIDE,
        description='Decide, with an answer: {"approve": true, "by": "you", "plan": "digest"}.',
    )
    def decide(self, claim: DecideClaim) -> Decision | None:
        """The same decision, answered at once."""
        self._judge(claim)
        return self._desk.decision

    @decide.validator
    def _may_decide(self, claim: DecideClaim) -> None:
        if refusal := self._desk.refusal(claim):
            raise ApplicationError(refusal, type="DecisionRefused", non_retryable=True)

    @workflow.signal(
        name=names.SIGNAL_SUPERSEDE,
        description='Stop, unless it is writing already: {"by": "the newer revision"}.',
    )
    def supersede(self, claim: SupersedeClaim) -> None:
        """A newer head replaces this one; too late once applying began."""
        if self._applying:
            self._desk.note("superseding came too late: this deployment is writing already")
        else:
            self._superseded = claim.by or "a newer revision"
        self._show()

    @workflow.signal(
        name=names.SIGNAL_LOCK_ANSWERED, description="The environment answers a lock request."
    )
    def lock_answered(self, answer: LockAnswer) -> None:
        """Forwarded to the lock."""
        self._lock.answered(answer)

    @workflow.signal(
        name=names.SIGNAL_LOCK_PROBED, description="The environment asks whether we still run."
    )
    def lock_probed(self, _key: LockKey) -> None:
        """That it could be delivered is the answer."""

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _args: Sequence[RawValue]) -> None:
        """Say that a signal's name is not known: the server never tells its sender."""
        self._desk.note(describe_unknown(name, SIGNALS))
        self._show()

    @workflow.query(name=names.QUERY_STATE, description="Phase, plan, decision, health so far.")
    def state(self) -> dict[str, object]:
        """What it is doing and what it knows."""
        return {
            "phase": self._phase,
            "superseded": self._superseded,
            "notices": list(self._desk.notices),
            "result": self._result.model_dump(mode="json", exclude={"report"}),
        }

    def _judge(self, claim: DecideClaim) -> None:
        self._desk.judge(claim, workflow.now())
        self._show()

    def _stop_if_superseded(self) -> None:
        if self._superseded and not self._applying:
            raise Ended("superseded", f"superseded by {names.short(self._superseded)}")

    def _stop_if_rejected(self) -> None:
        decision = self._desk.decision
        self._update(decision=decision)
        if decision is not None and not decision.approved:
            raise Ended("rejected", f"rejected by {decision.by}: {decision.reason}")

    def _enter(self, phase: str) -> None:
        self._phase = phase
        publish(phase=phase)
        self._show()

    def _update(self, **fields: object) -> None:
        self._result = self._result.model_copy(update=fields)
        self._show()

    def _finish(self, outcome: DeploymentOutcome, message: str) -> None:
        self._phase = "done"
        seconds = round((workflow.now() - self._started).total_seconds(), 1)
        self._update(outcome=outcome, message=message, seconds=seconds)
        self._update(report=self._details())
        publish(phase="done", outcome=outcome)

    def _details(self) -> str:
        return deployment_report(self._phase, self._result, self._desk.notices, self._deadline)

    def _show(self) -> None:
        workflow.set_current_details(self._details())
