"""The holder's side of an environment's lock."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from pilothouse.models import names
    from pilothouse.models.base import Contract
    from pilothouse.models.environment import (
        EnvironmentRequest,
        LockAnswer,
        LockKey,
        LockRequest,
    )
    from pilothouse.models.repository import RepositoryRef


ASK_AGAIN = timedelta(minutes=5)
"""The queue may have been full, or the environment's workflow ended: asking twice is harmless."""


class EnvironmentLock:
    """One workflow's hold on one environment, from request to release.

    The workflow forwards `lock_answered` signals to `answered`. A lease that the starter passes
    down is used and never released here: the starter holds it.
    """

    def __init__(
        self, repository: RepositoryRef, environment: str, inherited: LockAnswer | None
    ) -> None:
        self._repository = repository
        self._environment = environment
        self._inherited = inherited is not None
        self._answer = inherited
        self._requested = False
        self._renewal: asyncio.Task[None] | None = None
        self.wrote = ""
        """The revision that was begun to be written last under this lock; empty: none yet."""

    @property
    def answer(self) -> LockAnswer | None:
        """The environment's answer; None while it has not come."""
        return self._answer

    @property
    def held(self) -> bool:
        """Whether we may write now."""
        return self._answer is not None and self._answer.granted

    def answered(self, answer: LockAnswer) -> None:
        """Take the environment's word: a grant, a refusal, or that the lock was taken back."""
        self._answer = answer

    async def acquire(
        self, request: LockRequest, give_up: Callable[[], bool] = lambda: False
    ) -> LockAnswer | None:
        """Ask, and wait as long as it takes; None if `give_up` came true first."""
        if self._answer is None:
            self._requested = True
            while self._answer is None and not give_up():
                await self.tell(names.SIGNAL_REQUEST_LOCK, request)
                with suppress(TimeoutError):
                    await workflow.wait_condition(
                        lambda: self._answer is not None or give_up(),
                        timeout=ASK_AGAIN,
                        timeout_summary="before asking for the lock again",
                    )
        if self.held and not self._inherited:
            every = timedelta(seconds=request.lease_seconds / 3)
            self._renewal = asyncio.create_task(self._renew(every))
        return self._answer

    async def release(self) -> None:
        """Give the lock, or the place in the queue, back. Safe to call at any time."""
        if self._renewal is not None:
            self._renewal.cancel()
        if self._requested:
            key = LockKey(holder=workflow.info().workflow_id, wrote=self.wrote)
            await self._signal(names.SIGNAL_RELEASE_LOCK, key)

    async def tell(self, signal: str, message: Contract) -> None:
        """Send the environment anything else, starting it if need be."""
        await self._ensure_environment()
        await self._signal(signal, message)

    async def _renew(self, every: timedelta) -> None:
        while self.held:
            await workflow.sleep(every, summary="before renewing the lock's lease")
            key = LockKey(holder=workflow.info().workflow_id)
            await self._signal(names.SIGNAL_RENEW_LOCK, key)

    async def _signal(self, signal: str, message: Contract) -> None:
        entity = names.environment_id(self._repository.slug, self._environment)
        await workflow.get_external_workflow_handle(entity).signal(signal, message)

    async def _ensure_environment(self) -> None:
        entity = names.environment_id(self._repository.slug, self._environment)
        request = EnvironmentRequest(repository=self._repository, environment=self._environment)
        try:
            await workflow.start_child_workflow(
                names.ENVIRONMENT_WORKFLOW,
                request,
                id=entity,
                task_queue=names.WORKFLOW_QUEUE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=f"lock, ledger and hold of {self._environment}",
            )
        except WorkflowAlreadyStartedError:
            return  # it runs already, as it does after the first deployment
