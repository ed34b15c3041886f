"""What others ask of the workflows: a lock, a deployment, the end of a stage, another owner."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from pilothouse.clients.temporal.search import search_attributes
from pilothouse.models import names
from pilothouse.models.environment import (
    EnvironmentRequest,
    EnvironmentState,
    LockKey,
    OwnershipClaim,
)
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import DeploymentRequest, DeploymentResult
from pilothouse.models.workspace import EmittedEvent, LeaseRequest, LeaseState

RPC_TIMEOUT: Final = timedelta(seconds=10)
QUERY_TIMEOUT: Final = timedelta(seconds=5)
POLL_SECONDS: Final = 0.1
_NO_ANSWER: Final = {
    RPCStatusCode.NOT_FOUND,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
}

AnyHandle = WorkflowHandle[Any, Any]
State = TypeVar("State", LeaseState, EnvironmentState)


class WorkspaceRequests:
    """Starts, signals and asks workflows by name; knows none of their code.

    Every method raises TemporaryError `TemporalUnavailable` if the server does not answer.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def acquire(self, request: LeaseRequest, *, wait_seconds: float) -> LeaseState:
        """Ask for a lock, or renew it. Idempotent: a holder has one lease on a lock.

        Args:
            request: which lock, and who asks.
            wait_seconds: how long to wait for the environment's answer.

        Returns:
            The lease as it stands then: held, refused, or waiting in the environment's queue.
        """
        slug = request.repository.slug
        async with _translated():
            await self._client.start_workflow(
                names.LEASE_WORKFLOW,
                request,
                id=names.lease_id(slug, request.environment, request.holder),
                task_queue=names.WORKFLOW_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal=names.SIGNAL_RENEW_LOCK,
                start_signal_args=[LockKey(holder=request.holder)],
                search_attributes=search_attributes(
                    repository=slug, environment=request.environment
                ),
                static_summary=f"{request.holder} holds {request.environment}",
                rpc_timeout=RPC_TIMEOUT,
            )
        waiting = LeaseState(holder=request.holder, environment=request.environment)
        async with _deadline(wait_seconds):
            while (state := await self.lease(request)) is None or state.phase == "waiting":
                waiting = state or waiting
                await asyncio.sleep(POLL_SECONDS)
            return state
        return waiting

    async def lease(self, request: LeaseRequest) -> LeaseState | None:
        """What a holder's lease says; None if there is none, or no worker to ask."""
        return await self._state(self._lease(request), LeaseState)

    async def release(self, request: LeaseRequest) -> LeaseState | None:
        """Give a lock, or the place in its queue, back. Idempotent.

        Returns:
            The lease before; None if there was none.
        """
        handle = self._lease(request)
        before = await self._state(handle, LeaseState)
        async with _translated(absent_is_fine=True):
            await handle.signal(
                names.SIGNAL_RELEASE_LOCK,
                LockKey(holder=request.holder),
                rpc_timeout=RPC_TIMEOUT,
            )
        return before

    async def release_all(self, slug: str, holder: str) -> tuple[str, ...]:
        """End every lease of a key that has ended. Idempotent.

        Returns:
            The workflow ids of the leases that were told.
        """
        query = (
            f"WorkflowType = '{names.LEASE_WORKFLOW}' AND ExecutionStatus = 'Running' "
            f"AND {names.SEARCH_REPOSITORY} = '{slug}'"
        )
        told = []
        async with _translated(absent_is_fine=True):
            async for found in self._client.list_workflows(query):
                if found.id.rpartition("/")[2] != holder:
                    continue
                handle = self._client.get_workflow_handle(found.id)
                key = LockKey(holder=holder)
                await handle.signal(names.SIGNAL_RELEASE_LOCK, key, rpc_timeout=RPC_TIMEOUT)
                told.append(found.id)
        return tuple(told)

    async def transfer(
        self, repository: RepositoryRef, environment: str, claim: OwnershipClaim
    ) -> EnvironmentState | None:
        """Hand an environment to a person, or back to nobody. Idempotent.

        Returns:
            What the environment remembers then; None: it is told, and no worker is up to answer.
        """
        async with _translated():
            handle: AnyHandle = await self._client.start_workflow(
                names.ENVIRONMENT_WORKFLOW,
                EnvironmentRequest(repository=repository, environment=environment),
                id=names.environment_id(repository.slug, environment),
                task_queue=names.WORKFLOW_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal=names.SIGNAL_TRANSFER_OWNERSHIP,
                start_signal_args=[claim],
                static_summary=f"lock, ledger and hold of {environment}",
                rpc_timeout=RPC_TIMEOUT,
            )
        return await self._state(handle, EnvironmentState)

    async def environment(self, slug: str, environment: str) -> EnvironmentState | None:
        """What an environment, or the lock of a path, remembers; None if it never ran."""
        handle = self._client.get_workflow_handle(names.environment_id(slug, environment))
        return await self._state(handle, EnvironmentState)

    async def deploy(
        self, request: DeploymentRequest, *, wait_seconds: float
    ) -> tuple[str, DeploymentResult | None]:
        """Start a deployment, or join the one that runs, and wait a while for its end.

        Returns:
            The workflow's id, and its result if it came in time.

        Raises:
            PermanentError: `InvalidRequest`, the workflow itself failed or was ended.
        """
        slug = request.repository.slug
        revision, environment = request.revision, request.environment
        async with _translated():
            handle: WorkflowHandle[Any, DeploymentResult] = await self._client.start_workflow(
                names.DEPLOYMENT_WORKFLOW,
                request,
                id=names.deployment_id(slug, environment, revision),
                task_queue=names.WORKFLOW_QUEUE,
                result_type=DeploymentResult,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"{names.short(revision)} to {environment}, asked by an agent",
                rpc_timeout=RPC_TIMEOUT,
            )
        result: DeploymentResult | None = None
        try:
            async with _deadline(wait_seconds), _translated():
                result = await handle.result()
        except WorkflowFailureError as error:
            raise PermanentError(
                "InvalidRequest", f"{handle.id} ended without a result: {error.cause}"
            ) from error
        return handle.id, result

    async def emit(self, run: str, event: EmittedEvent) -> bool:
        """Tell a run that an outside agent has ended its stage; False if it does not run.

        The run takes each event once, however often it is told.
        """
        try:
            async with _translated():
                handle = self._client.get_workflow_handle(run)
                await handle.signal(names.SIGNAL_EMIT, event, rpc_timeout=RPC_TIMEOUT)
        except PermanentError:
            return False
        return True

    def _lease(self, request: LeaseRequest) -> AnyHandle:
        slug = request.repository.slug
        return self._client.get_workflow_handle(
            names.lease_id(slug, request.environment, request.holder)
        )

    async def _state(self, handle: AnyHandle, kind: type[State]) -> State | None:
        try:
            state: State = await handle.query(
                names.QUERY_STATE, result_type=kind, rpc_timeout=QUERY_TIMEOUT
            )
        except WorkflowQueryFailedError as error:
            raise TemporaryError(
                "TemporalUnavailable", f"{handle.id} does not understand us: {error}"
            ) from error
        except RPCError as error:
            # Without a worker to answer, a query ends at its deadline.
            if error.status in _NO_ANSWER:
                return None
            raise _unavailable(error) from error
        return state


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    """Leave the body quietly when the time is up: what it waited for goes on."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        return


@asynccontextmanager
async def _translated(*, absent_is_fine: bool = False) -> AsyncIterator[None]:
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise _unavailable(error) from error
        if not absent_is_fine:
            raise PermanentError("InvalidRequest", "there is no such workflow running") from error


def _unavailable(error: RPCError) -> TemporaryError:
    return TemporaryError(
        "TemporalUnavailable",
        f"Temporal did not answer ({error.status.name}): try again, and check that it runs",
    )
