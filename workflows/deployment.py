"""One revision into one environment: plan, gate, approve, lock, apply, health, record, recover."""

from collections.abc import Sequence
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
    from pilothouse.models import names
    from pilothouse.models.environment import (
        DecideClaim,
        Decision,
        DecisionClaim,
        LockAnswer,
        LockProbe,
        LockRequest,
    )
    from pilothouse.models.runs import DeploymentRequest, DeploymentResult, SupersedeClaim

from workflows.deploying import rollout
from workflows.deploying.approval import ApprovalDesk, as_decision, describe_unknown
from workflows.deploying.ending import Ended
from workflows.deploying.explanation import explain
from workflows.deploying.order import Successors, stop_if_not_promoted, stop_if_overtaken
from workflows.deploying.preparation import Prepared, prepare
from workflows.deploying.progress import Progress
from workflows.deploying.question import ask, most_deletes
from workflows.deploying.recovery import record_good, recover
from workflows.lock import EnvironmentLock
from workflows.visibility import publish, reason

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
        self._superseded = ""
        self._desk = ApprovalDesk()
        self._lock = EnvironmentLock(request.repository, request.environment, request.lease)
        self._successors = Successors(request)
        self._progress = Progress(request, lambda: self._desk.notices)

    @workflow.run
    async def run(self, request: DeploymentRequest) -> DeploymentResult:
        """Deploy; see ARCHITECTURE section 5 for the steps and their order."""
        publish(
            repository=request.repository.slug,
            environment=request.environment,
            revision=request.revision,
        )
        progress = self._progress
        try:
            progress.enter("planning")
            prepared = await prepare(request, progress.update)
            self._stop_if_superseded()
            request = await explain(request, prepared, progress, lambda: self._superseded)
            self._stop_if_superseded()
            await self._approve(request, prepared)
            lease = await self._acquire(prepared)
            await self._apply(prepared, lease)
            await self._await_health(prepared, lease)
            if self._wrote(prepared):
                await rollout.verify(request, prepared, progress)
            await record_good(request, prepared, self._lock)
            progress.finish("deployed", progress.result.message)
        except Ended as end:
            progress.finish(end.outcome, str(end))
        except (ActivityError, ChildWorkflowError) as error:
            if is_cancelled_exception(error):
                raise
            progress.finish("failed", reason(error))
        finally:
            self._desk.close("the deployment has ended")
            await self._lock.release()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return progress.result

    async def _approve(self, request: DeploymentRequest, prepared: Prepared) -> None:
        await ask(request, prepared, self._desk, self._progress, lambda: bool(self._superseded))
        self._stop_if_superseded()
        self._stop_if_rejected()

    async def _acquire(self, prepared: Prepared) -> LockAnswer:
        request, plan = self._request, prepared.plan
        # The environment before may have been rolled back while a person thought.
        await stop_if_not_promoted(request, prepared.environment.after)
        self._progress.enter("lock")
        answer = await self._lock.acquire(
            LockRequest(
                holder=workflow.info().workflow_id,
                revision=request.revision,
                seen_fencing=plan.fencing,
                rollback=request.rollback,
                plan=plan.digest,
                forced=request.forced,
                under=request.under,
            ),
            give_up=lambda: bool(self._superseded) or self._desk.rejected,
        )
        if answer is not None and answer.granted:
            await stop_if_overtaken(request, answer)
            self._stop_if_handed_over(answer.owner)
        self._stop_if_superseded()
        # A rejection still counts after an approval, as long as nothing is written.
        self._stop_if_rejected()
        if answer is None or not answer.granted:
            raise Ended("on_hold", answer.reason if answer else "the lock was not answered")
        return answer

    async def _apply(self, prepared: Prepared, lease: LockAnswer) -> None:
        self._lock.wrote = self._request.revision
        self._desk.close("it is writing already")
        self._progress.enter("applying")
        deletes = most_deletes(prepared.environment, prepared.plan, self._desk)
        applied = await rollout.apply(self._request, prepared, lease, deletes)
        self._progress.update(apply=applied)
        if not applied.ok:
            await self._recover(prepared, lease, applied.message)

    async def _await_health(self, prepared: Prepared, lease: LockAnswer) -> None:
        progress = self._progress
        progress.enter("health")
        health = await self._successors.give_way(
            rollout.await_health(prepared, wrote=self._wrote(prepared))
        )
        progress.update(health=health, diagnosis=health.diagnoses[0] if health.diagnoses else None)
        if not health.healthy:
            await self._recover(prepared, lease, rollout.why_unhealthy(health))
        healthy = f"healthy after {health.seconds:.1f} s"
        progress.update(message="; ".join(filter(None, (healthy, progress.result.remark))))

    def _wrote(self, prepared: Prepared) -> bool:
        """Whether there is anything to settle and to read back.

        An apply that was tried twice may only say what its second try did, so the plan counts too.
        """
        applied = self._progress.result.apply
        return prepared.plan.changes_something or applied is None or applied.wrote

    async def _recover(self, prepared: Prepared, lease: LockAnswer, why: str) -> NoReturn:
        await recover(self._request, prepared, lease, self._lock, self._progress, why)

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
        """A newer head replaces this one.

        Once it writes, it gives way only to a newer revision that waits for the lock: what was
        merely pushed may be rejected yet, and nobody would see to what was written.
        """
        if self._lock.wrote:
            self._desk.note("it writes already: it gives way once a newer revision is ready")
        else:
            self._superseded = claim.by or "a newer revision"
        self._progress.show()

    @workflow.signal(
        name=names.SIGNAL_LOCK_ANSWERED, description="The environment answers a lock request."
    )
    def lock_answered(self, answer: LockAnswer) -> None:
        """Forwarded to the lock."""
        self._lock.answered(answer)

    @workflow.signal(
        name=names.SIGNAL_LOCK_PROBED, description="The environment asks whether we still run."
    )
    def lock_probed(self, probe: LockProbe) -> None:
        """That it could be delivered is the answer."""
        self._successors.told(probe)

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _args: Sequence[RawValue]) -> None:
        """Say that a signal's name is not known: the server never tells its sender."""
        self._desk.note(describe_unknown(name, SIGNALS))
        self._progress.show()

    @workflow.query(name=names.QUERY_STATE, description="Phase, plan, decision, health so far.")
    def state(self) -> dict[str, object]:
        """What it is doing and what it knows."""
        return {
            "phase": self._progress.phase,
            "superseded": self._superseded,
            "notices": list(self._desk.notices),
            "result": self._progress.result.model_dump(mode="json", exclude={"report"}),
        }

    def _judge(self, claim: DecideClaim) -> None:
        self._desk.judge(claim, workflow.now())
        self._progress.show()

    def _stop_if_superseded(self) -> None:
        if self._superseded:
            raise Ended("superseded", f"superseded by {names.short(self._superseded)}")

    def _stop_if_handed_over(self, owner: str) -> None:
        """While it waited for the lock the environment may have been handed to somebody."""
        asked = self._desk.decision is not None
        self._desk.owned_by(owner)
        if asked and self._desk.decision is None:
            raise Ended("blocked", f"{owner} owns the environment since: deploy again to ask them")

    def _stop_if_rejected(self) -> None:
        decision = self._desk.decision
        self._progress.update(decision=decision)
        if decision is not None and not decision.approved:
            raise Ended("rejected", f"rejected by {decision.by}: {decision.reason}")
