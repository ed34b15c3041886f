"""A lease: holds an environment's lock for somebody who is no workflow, and gives it back."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from pilothouse.models import names
    from pilothouse.models.environment import LockAnswer, LockKey, LockRequest
    from pilothouse.models.workspace import LeaseRequest, LeaseState

from workflows.lock import EnvironmentLock
from workflows.visibility import publish


@workflow.defn(name=names.LEASE_WORKFLOW)
class LeaseWorkflow:
    """Holds one lock for one API key.

    Id: `lease/<host>/<path>/<environment>/<key id>`, so a key has one lease on a lock. It ends when
    it is released, refused, taken back, or was not renewed in time; and with it the lock, whatever
    became of who asked. A lease that waits in the queue ends in the same ways.

    The lease itself writes nothing. To a deployment that its key asks for, the environment lends
    the lock, under a number of its own; that deployment keeps it when the lease ends meanwhile.
    """

    @workflow.init
    def __init__(self, request: LeaseRequest) -> None:
        self._request = request
        self._lock = EnvironmentLock(request.repository, request.environment, None)
        self._over = False
        self._ended = False
        self._expires = workflow.now() + timedelta(seconds=request.lease_seconds)

    @workflow.run
    async def run(self, request: LeaseRequest) -> LeaseState:
        """Ask for the lock, keep it while it is renewed, give it back."""
        publish(repository=request.repository.slug, environment=request.environment)
        expiry = asyncio.create_task(self._expire())
        try:
            await self._lock.acquire(
                LockRequest(
                    holder=workflow.info().workflow_id,
                    revision=request.revision,
                    lease_seconds=request.lease_seconds,
                    writes=False,
                ),
                give_up=lambda: self._over,
            )
            await workflow.wait_condition(lambda: self._over or not self._lock.held)
        finally:
            expiry.cancel()
            await self._lock.release()
            self._ended = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.state()

    async def _expire(self) -> None:
        while (left := self._expires - workflow.now()) > timedelta(0):
            await workflow.sleep(left, summary="until the lease ends unless it is renewed")
        self._over = True

    @workflow.signal(name=names.SIGNAL_RENEW_LOCK, description="The key goes on: {holder: key id}.")
    def renew(self, key: LockKey) -> None:
        """Begin the lease anew; nobody else can."""
        if key.holder == self._request.holder:
            seconds = timedelta(seconds=self._request.lease_seconds)
            self._expires = workflow.now() + seconds

    @workflow.signal(
        name=names.SIGNAL_RELEASE_LOCK,
        description="The key, or a person for it, gives the lock back: {holder: key id}.",
    )
    def release(self, key: LockKey) -> None:
        """End the lease."""
        self._over = self._over or key.holder == self._request.holder

    @workflow.signal(name=names.SIGNAL_LOCK_ANSWERED, description="The environment's word.")
    def lock_answered(self, answer: LockAnswer) -> None:
        """A grant, a refusal, or that the lock was taken back."""
        self._lock.answered(answer)

    @workflow.signal(name=names.SIGNAL_LOCK_PROBED, description="Whether this lease still runs.")
    def lock_probed(self, _key: LockKey) -> None:
        """That this signal can be delivered is the answer."""

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _args: Sequence[RawValue]) -> None:
        """Take no notice of what a lease does not understand."""
        workflow.logger.warning("dropped the unknown signal %r", name[:60])

    @workflow.query(name=names.QUERY_STATE, description="Phase, fencing number, expiry.")
    def state(self) -> LeaseState:
        """How the lease stands."""
        return LeaseState(
            holder=self._request.holder,
            environment=self._request.environment,
            phase=self._phase(),
            answer=self._lock.answer,
            expires_at=self._expires.isoformat(),
        )

    def _phase(self) -> Literal["waiting", "held", "refused", "ended"]:
        answer = self._lock.answer
        if answer is not None and not answer.granted:
            return "refused"
        if self._ended or self._over:
            return "ended"
        return "waiting" if answer is None else "held"
