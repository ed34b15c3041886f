"""One revision into one environment: plan, gate, approve, lock, apply, health, record, recover."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.cluster import ClusterActivities
    from activities.git import GitActivities
    from activities.workspace import WorkspaceActivities
    from pilothouse.gitops.reports import deployment_report
    from pilothouse.models import names
    from pilothouse.models.environment import (
        DecideClaim,
        Decision,
        DecisionClaim,
        Hold,
        HoldRequest,
        LockAnswer,
        LockKey,
        LockRequest,
        Release,
    )
    from pilothouse.models.health import Diagnosis
    from pilothouse.models.objects import Plan, RenderedBundle
    from pilothouse.models.pipeline import Environment, duration
    from pilothouse.models.repository import Snapshot
    from pilothouse.models.runs import (
        DeploymentOutcome,
        DeploymentRequest,
        DeploymentResult,
        ReleaseRecord,
        RollbackRequest,
        RollbackResult,
        SupersedeClaim,
    )
    from pilothouse.models.steps import (
        ApplyRequest,
        HealthRequest,
        PlanRequest,
        RenderRequest,
        SnapshotRequest,
    )

from workflows import options
from workflows.approval import ApprovalDesk, as_decision, describe_unknown
from workflows.lock import EnvironmentLock
from workflows.visibility import publish, reason

SIGNALS = (names.SIGNAL_APPROVE, names.SIGNAL_REJECT, names.SIGNAL_SUPERSEDE)


class Ended(Exception):
    """The deployment is over, early or not, with this outcome."""

    def __init__(self, outcome: DeploymentOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome: DeploymentOutcome = outcome


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
        self._desk = ApprovalDesk()
        self._lock = EnvironmentLock(request.repository, request.environment, request.lease)
        self._result = DeploymentResult(
            outcome="failed", environment=request.environment, revision=request.revision
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
            snapshot, environment = await self._read()
            bundle = await self._render(snapshot)
            plan = await self._plan(bundle, environment)
            await self._approve(plan, environment, snapshot.commit.people)
            lease = await self._acquire()
            await self._apply(plan, bundle, environment, lease)
            await self._verify(plan, bundle, environment, lease)
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

    # -- plan -------------------------------------------------------------------------------------

    async def _read(self) -> tuple[Snapshot, Environment]:
        self._enter("planning")
        request = self._request
        snapshot = await options.GIT(
            GitActivities.take_snapshot,
            SnapshotRequest(repository=request.repository, revision=request.revision),
            summary=f"read {names.short(request.revision)} from Git",
        )
        load = await options.WORKSPACE(
            WorkspaceActivities.load_pipeline,
            snapshot,
            summary="read the pipeline file",
        )
        if load.pipeline is None:
            problems = "; ".join(f"{f.file}:{f.line}: {f.message}" for f in load.findings[:5])
            raise Ended("blocked", f"the pipeline file is not usable: {problems}")
        environment = load.pipeline.environments.get(request.environment)
        if environment is None:
            known = ", ".join(load.pipeline.environments) or "none"
            raise Ended(
                "blocked",
                f"the pipeline file has no environment {request.environment!r} (it has: {known})",
            )
        self._pipeline = load.pipeline
        return snapshot, environment

    async def _render(self, snapshot: Snapshot) -> RenderedBundle:
        rendered = await options.WORKSPACE(
            WorkspaceActivities.render_and_validate,
            RenderRequest(
                snapshot=snapshot,
                pipeline=self._pipeline,
                environment=self._request.environment,
            ),
            summary=f"render and validate for {self._request.environment}",
        )
        self._update(validation=rendered.report)
        if rendered.bundle is None:
            count = sum(f.severity == "error" for f in rendered.report.findings)
            raise Ended("blocked", f"validation found {count} errors")
        return rendered.bundle

    async def _plan(self, bundle: RenderedBundle, environment: Environment) -> Plan:
        plan = await options.CLUSTER_READ(
            ClusterActivities.plan_deployment,
            PlanRequest(
                content=bundle.content,
                revision=self._request.revision,
                inventory=self._inventory,
                prune=environment.prune,
            ),
            summary=f"dry-run {bundle.objects} objects and diff them with the cluster",
        )
        self._update(plan=plan)
        if refused := [f for f in plan.findings if f.severity == "error"]:
            first = refused[0]
            raise Ended(
                "blocked",
                f"the cluster refuses {len(refused)} objects in its dry-run; first "
                f"{first.object} ({first.file}:{first.line}): {first.message}",
            )
        expected = self._request.expected_plan
        if expected and plan.digest != expected:
            raise Ended(
                "blocked",
                f"the plan is {names.short(plan.digest)}, but the one that was healthy is "
                f"{names.short(expected)}",
            )
        self._stop_if_superseded()
        return plan

    # -- decide -----------------------------------------------------------------------------------

    async def _approve(self, plan: Plan, environment: Environment, authors: frozenset[str]) -> None:
        policy = environment.approval
        changes = any(count for action, count in plan.counts.items() if action != "unchanged")
        if self._request.rollback or not policy.required or not changes:
            self._desk.close("no approval is asked for here")
            return
        self._desk.open(plan.digest, policy, authors, workflow.now())
        self._enter("approval")
        try:
            await workflow.wait_condition(
                lambda: self._desk.decision is not None or bool(self._superseded),
                timeout=duration(policy.expires),
                timeout_summary=f"until the approval expires ({policy.expires})",
            )
        except TimeoutError:
            self._desk.close("the time to decide is over")
            raise Ended("expired", f"nobody decided within {policy.expires}") from None
        decision = self._desk.decision
        self._desk.close("the decision is made")
        self._stop_if_superseded()
        if decision is None:
            raise ApplicationError("the wait for a decision ended without one")
        self._update(decision=decision)
        if not decision.approved:
            raise Ended("rejected", f"rejected by {decision.by}: {decision.reason}")

    async def _acquire(self) -> LockAnswer:
        self._enter("lock")
        answer = await self._lock.acquire(
            LockRequest(
                holder=workflow.info().workflow_id,
                revision=self._request.revision,
                rollback=self._request.rollback,
            ),
            give_up=lambda: bool(self._superseded),
        )
        self._stop_if_superseded()
        if answer is None or not answer.granted:
            raise Ended("on_hold", answer.reason if answer else "the lock was not answered")
        return answer

    # -- write and watch --------------------------------------------------------------------------

    async def _apply(
        self, plan: Plan, bundle: RenderedBundle, environment: Environment, lease: LockAnswer
    ) -> None:
        self._applying = True
        self._enter("applying")
        applied = await options.CLUSTER_WRITE(
            ClusterActivities.apply_plan,
            ApplyRequest(
                content=bundle.content,
                plan=plan.digest,
                revision=self._request.revision,
                inventory=self._inventory,
                fencing=lease.fencing,
                operation=workflow.info().workflow_id,
                prune=environment.prune,
            ),
            summary=f"apply plan {names.short(plan.digest)} under fencing number {lease.fencing}",
        )
        self._update(apply=applied)
        if not applied.ok:
            await self._recover(plan, environment, lease, applied.message, None)

    async def _verify(
        self, plan: Plan, bundle: RenderedBundle, environment: Environment, lease: LockAnswer
    ) -> None:
        self._enter("health")
        limit = duration(environment.health_timeout)
        health = await options.watching(limit)(
            ClusterActivities.await_health,
            HealthRequest(content=bundle.content, timeout_seconds=limit.total_seconds()),
            summary=f"wait until {bundle.objects} objects are healthy, at most {limit}",
        )
        diagnosis = health.diagnoses[0] if health.diagnoses else None
        self._update(health=health, diagnosis=diagnosis)
        if not health.healthy:
            why = diagnosis.summary if diagnosis else f"still {health.status} after {limit}"
            await self._recover(plan, environment, lease, why, diagnosis)
        await self._record(plan, "good", "")
        self._finish("deployed", f"healthy after {health.seconds:.1f} s")

    async def _record(self, plan: Plan, outcome: str, why: str) -> None:
        release = Release.model_validate({
            "revision": self._request.revision,
            "plan": plan.digest,
            "outcome": outcome,
            "at": workflow.now().isoformat(),
            "deployment": workflow.info().workflow_id,
            "reason": why,
        })
        lift = outcome == "good" and not self._request.rollback
        await self._lock.tell(
            names.SIGNAL_RECORD_RELEASE, ReleaseRecord(release=release, lift_rollback_hold=lift)
        )

    # -- recover ----------------------------------------------------------------------------------

    async def _recover(
        self,
        plan: Plan,
        environment: Environment,
        lease: LockAnswer,
        why: str,
        diagnosis: Diagnosis | None,
    ) -> None:
        """At most one rollback, to what was good here; otherwise a hold. Always raises `Ended`."""
        await self._record(plan, "bad", why)
        if self._request.rollback:
            raise Ended("failed", f"the rollback does not work either: {why}")
        if environment.rollback == "manual" or lease.last_good is None:
            cause = "rollback: manual" if lease.last_good else "nothing was good here before"
            await self._hold(f"{names.short(self._request.revision)} failed: {why} ({cause})")
            raise Ended("failed", f"{why}; not rolled back ({cause})")
        self._enter("rollback")
        rollback: RollbackResult = await workflow.execute_child_workflow(
            names.ROLLBACK_WORKFLOW,
            RollbackRequest(
                repository=self._request.repository,
                environment=self._request.environment,
                request_id=names.short(self._request.revision),
                bad_revision=self._request.revision,
                reason=why,
                requested_by=workflow.info().workflow_id,
                run=self._request.run,
                lease=lease,
            ),
            id=names.rollback_id(
                self._request.repository.slug,
                self._request.environment,
                names.short(self._request.revision),
            ),
            result_type=RollbackResult,
            static_summary=f"put {names.short(lease.last_good.revision)} back: {why}"[:200],
        )
        self._update(rollback=rollback)
        outcome: DeploymentOutcome = (
            "rolled_back" if rollback.outcome == "rolled_back" else "failed"
        )
        raise Ended(outcome, f"{why}; {rollback.message}")

    async def _hold(self, why: str) -> None:
        hold = Hold(
            kind="rollback",
            reason=why,
            by=workflow.info().workflow_id,
            since=workflow.now().isoformat(),
            bad_revision=self._request.revision,
        )
        await self._lock.tell(names.SIGNAL_SET_HOLD, HoldRequest(hold=hold))

    # -- messages ---------------------------------------------------------------------------------

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
        """Nothing to do: that it could be delivered is the answer."""

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

    # -- bookkeeping ------------------------------------------------------------------------------

    @property
    def _inventory(self) -> str:
        return names.inventory_name(self._request.repository.slug, self._request.environment)

    def _judge(self, claim: DecideClaim) -> None:
        self._desk.judge(claim, workflow.now())
        self._show()

    def _stop_if_superseded(self) -> None:
        if self._superseded and not self._applying:
            raise Ended("superseded", f"superseded by {names.short(self._superseded)}")

    def _enter(self, phase: str) -> None:
        self._phase = phase
        publish(phase=phase)
        self._show()

    def _update(self, **fields: object) -> None:
        self._result = self._result.model_copy(update=fields)
        self._show()

    def _finish(self, outcome: DeploymentOutcome, message: str) -> None:
        self._phase = "done"
        took: timedelta = workflow.now() - self._started
        self._update(outcome=outcome, message=message, seconds=round(took.total_seconds(), 1))
        self._update(report=self._details())
        publish(phase="done", outcome=outcome)

    def _details(self) -> str:
        return deployment_report(
            workflow.info().workflow_id, self._phase, self._result, self._desk.notices
        )

    def _show(self) -> None:
        workflow.set_current_details(self._details())
