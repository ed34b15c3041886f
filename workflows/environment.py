"""The environment's entity: one lock, one ledger, one hold."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops import corrections, ledger, ownership
    from pilothouse.gitops.reports import environment_report
    from pilothouse.models import names
    from pilothouse.models.environment import (
        EnvironmentRequest,
        EnvironmentState,
        Hold,
        HoldClaim,
        HoldRequest,
        LockAnswer,
        LockKey,
        LockProbe,
        LockRequest,
        Observation,
        OwnershipClaim,
        Release,
    )
    from pilothouse.models.runs import DeploymentRequest, ReleaseRecord

PROBE_EVERY = timedelta(seconds=20)
"""How often the holder is probed while somebody waits for the lock."""
MAX_TOLD = 10
"""How many of those who wait the holder is told about."""
_CLAIMS = f"{names.SIGNAL_HOLD}, {names.SIGNAL_RESUME}, {names.SIGNAL_TRANSFER_OWNERSHIP}"
"""What people may signal."""


@workflow.defn(name=names.ENVIRONMENT_WORKFLOW)
class EnvironmentWorkflow:
    """Entity: the lock (queue, lease, fencing number), the release ledger, the hold.

    Id: `environment/<host>/<path>/<environment>`; started by the first deployment, never ends,
    continues as new. Handlers only change the state; the loop in `run` alone speaks to others, one
    thing after another, so nothing interleaves.
    """

    @workflow.init
    def __init__(self, request: EnvironmentRequest) -> None:
        self._request = request
        self._state = request.state or EnvironmentState()
        self._to_correct: Release | None = None
        workflow.set_current_details(self._details())

    @workflow.run
    async def run(self, request: EnvironmentRequest) -> None:
        """Answer lock requests in turn, until history has grown enough to continue as new."""
        while not _history_is_long():
            await workflow.wait_condition(lambda: self._is_wanted() or _history_is_long())
            if self._to_correct is not None:
                await self._correct(self._to_correct)
            elif ledger.next_in_line(self._state) is not None:
                await self._answer_next()
            elif self._state.queue:
                await self._await_holder()
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(request.model_copy(update={"state": self._state}))

    def _is_wanted(self) -> bool:
        return bool(self._state.queue) or self._to_correct is not None

    # -- the lock ---------------------------------------------------------------------------------

    @workflow.signal(
        name=names.SIGNAL_REQUEST_LOCK,
        description="A deployment asks for the lock: {holder, revision, lease_seconds, rollback}.",
    )
    def request_lock(self, request: LockRequest) -> None:
        """Queue a request; asking twice, as a retried signal does, changes nothing."""
        self._put(ledger.enqueue(self._state, request))

    @workflow.signal(
        name=names.SIGNAL_RENEW_LOCK, description="The holder goes on: {holder: workflow id}."
    )
    def renew_lock(self, key: LockKey) -> None:
        """Extend the holder's lease; anyone else's renewal is ignored."""
        self._put(ledger.renew(self._state, key.holder, workflow.now()))

    @workflow.signal(
        name=names.SIGNAL_RELEASE_LOCK,
        description="The holder, or a person for it, gives the lock back: {holder: workflow id}.",
    )
    def release_lock(self, key: LockKey) -> None:
        """Free the lock, or leave the queue."""
        self._put(ledger.release(self._state, key.holder, key.wrote))

    async def _answer_next(self) -> None:
        state, request, answer = ledger.answer_next(self._state, workflow.now())
        self._put(state)
        if not await self._tell(request.holder, answer):
            self._put(ledger.release(self._state, request.holder))

    async def _await_holder(self) -> None:
        """Tell the holder at once who waits: it may give way. Then leave it some time."""
        told, holder = self._waiting(), self._state.holder
        await self._probe_holder(told)
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: (
                    self._state.holder != holder
                    or self._waiting() != told
                    or ledger.next_in_line(self._state) is not None
                    or self._to_correct is not None
                    or _history_is_long()
                ),
                timeout=PROBE_EVERY,
                timeout_summary="before asking the holder whether it still runs",
            )

    def _waiting(self) -> tuple[str, ...]:
        """What the holder may give way to: neither a rollback nor a lease is a newer revision."""
        writers = (each for each in self._state.queue if each.writes and not each.rollback)
        revisions = [each.revision for each in writers]
        return tuple(revisions[:MAX_TOLD])

    async def _probe_holder(self, waiting: tuple[str, ...]) -> None:
        """Somebody waits: make sure that the holder still exists and renews its lease.

        A holder that was terminated cannot release; Temporal knows that it has ended.
        """
        holder = self._state.holder
        if holder is None:
            return
        handle = workflow.get_external_workflow_handle(holder.holder)
        try:
            probe = LockProbe(holder=holder.holder, waiting=waiting)
            await handle.signal(names.SIGNAL_LOCK_PROBED, probe)
        except FailureError:
            self._take_back(holder, "it has ended without releasing it")
            return
        if workflow.now() > datetime.fromisoformat(self._state.expires_at):
            self._take_back(holder, "its lease ran out")
            reason = "the lease ran out while others waited"
            await self._tell(holder.holder, LockAnswer(granted=False, reason=reason))

    def _take_back(self, holder: LockRequest, why: str) -> None:
        if self._state.holder == holder:
            notice = f"took the lock back from {holder.holder}: {why}"
            # It cannot tell any more whether it wrote, so it counts as if it did.
            wrote = holder.revision if holder.writes else ""
            freed = ledger.release(self._state, holder.holder, wrote)
            self._put(ledger.note(freed, notice))

    async def _tell(self, holder: str, answer: LockAnswer) -> bool:
        try:
            handle = workflow.get_external_workflow_handle(holder)
            await handle.signal(names.SIGNAL_LOCK_ANSWERED, answer)
        except FailureError:
            return False
        return True

    # -- ledger, hold, observation ----------------------------------------------------------------

    @workflow.signal(
        name=names.SIGNAL_RECORD_RELEASE, description="A deployment tells how it ended."
    )
    def record_release(self, record: ReleaseRecord) -> None:
        """Remember a revision as good or bad here; a newer good one lifts a rollback's hold."""
        self._put(ledger.record(self._state, record.release, record.lift_rollback_hold))

    @workflow.signal(
        name=names.SIGNAL_HOLD,
        description='Pause automation here: {"by": "you@example.org", "reason": "why"}.',
    )
    def hold(self, claim: HoldClaim) -> None:
        """Refuse every deployment until somebody resumes."""
        if refusal := _incomplete(claim):
            self._put(ledger.note(self._state, f"hold refused: {refusal}"))
            return
        hold = Hold(kind="manual", reason=claim.reason, by=claim.by, since=_now())
        self._put(ledger.hold(self._state, hold))

    @workflow.signal(name=names.SIGNAL_SET_HOLD, description="A rollback pauses automation here.")
    def set_hold(self, request: HoldRequest) -> None:
        """Take a hold from a workflow of ours."""
        self._put(ledger.hold(self._state, request.hold))

    @workflow.signal(
        name=names.SIGNAL_RESUME,
        description='Let automation go on: {"by": "you@example.org", "reason": "why"}.',
    )
    def resume(self, claim: HoldClaim) -> None:
        """End a hold; the revision that caused it may be tried again, drift be put back again."""
        if refusal := _incomplete(claim):
            self._put(ledger.note(self._state, f"resume refused: {refusal}"))
            return
        self._put(ledger.resume(self._state, claim.by, claim.reason))

    @workflow.signal(
        name=names.SIGNAL_TRANSFER_OWNERSHIP,
        description='Only they approve here: {"owner": "e-mail, or empty", "by": "you", "reason"}.',
    )
    def transfer_ownership(self, claim: OwnershipClaim) -> None:
        """Hand the environment to a person, or back to nobody."""
        self._put(ownership.transfer(self._state, claim, workflow.now()))

    @workflow.signal(
        name=names.SIGNAL_RECORD_OBSERVATION, description="The monitor tells what it saw."
    )
    def record_observation(self, observation: Observation) -> None:
        """Keep the last look; drift is put back if the policy says so and nothing forbids it."""
        state, release = corrections.observe(self._state, observation, workflow.now())
        self._to_correct = release or self._to_correct
        self._put(state)

    async def _correct(self, release: Release) -> None:
        """Through the deployment path, as everything that writes: lock, fencing, health."""
        self._to_correct = None
        repository, environment = self._request.repository, self._request.environment
        request = DeploymentRequest(
            repository=repository,
            revision=release.revision,
            environment=environment,
            correction=True,
            expected_plan=release.plan,
            restore=release.bundle,
            unattended=True,
        )
        try:
            await workflow.start_child_workflow(
                names.DEPLOYMENT_WORKFLOW,
                request,
                id=names.deployment_id(repository.slug, environment, release.revision),
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"put back what drifted from {names.short(release.revision)}",
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("%s is being deployed already", release.revision)

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _args: Sequence[RawValue]) -> None:
        """Say that a signal's name is not known: the server never tells its sender."""
        notice = f"unknown signal {name[:60]!r}: this environment understands {_CLAIMS}"
        self._put(ledger.note(self._state, notice))

    @workflow.query(name=names.QUERY_STATE, description="Lock, queue, releases, hold.")
    def state(self) -> EnvironmentState:
        """Everything that is remembered."""
        return self._state

    def _put(self, state: EnvironmentState) -> None:
        self._state = state
        workflow.set_current_details(self._details())

    def _details(self) -> str:
        return environment_report(
            workflow.info().workflow_id, self._request.environment, self._state
        )


def _incomplete(claim: HoldClaim) -> str:
    if claim.problem:
        return claim.problem
    return "" if claim.by and claim.reason else 'both "by" and "reason" are needed'


def _history_is_long() -> bool:
    return workflow.info().is_continue_as_new_suggested()


def _now() -> str:
    return workflow.now().isoformat()
