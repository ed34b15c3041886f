"""What an outsider may say to a repository: something happened, go and look."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from pilothouse.clients.temporal.search import search_attributes
from pilothouse.models import names
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import RepositoryEvent, RepositoryRef
from pilothouse.models.runs import RepositoryRequest

RPC_TIMEOUT = timedelta(seconds=10)
_REFUSALS = {RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION}
"""The server understood and said no to this one event; everything else may pass."""


class WorkflowStarter:
    """Starts and signals workflows by name; knows none of their code."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send_event(self, repository: RepositoryRef, event: RepositoryEvent) -> None:
        """Tell a repository's workflow what happened, and start it if it does not run.

        Needs no worker to be up. Not idempotent at the server: each call is one more signal, and
        the workflow drops those whose delivery it has seen.

        Raises:
            TemporaryError: `TemporalUnavailable`, send it again later.
            PermanentError: `InvalidRequest`, the server refuses this event.
        """
        slug = repository.slug
        try:
            await self._client.start_workflow(
                names.REPOSITORY_WORKFLOW,
                RepositoryRequest(repository=repository),
                id=names.repository_id(slug),
                task_queue=names.WORKFLOW_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal=names.SIGNAL_REPOSITORY_EVENT,
                start_signal_args=[event],
                search_attributes=search_attributes(repository=slug),
                static_summary=f"Inbox of {slug}: turns pushes and pull requests into runs",
                rpc_timeout=RPC_TIMEOUT,
            )
        except RPCError as error:
            raise _translated(error, slug) from error


def _translated(error: RPCError, slug: str) -> PermanentError | TemporaryError:
    if error.status in _REFUSALS:
        return PermanentError(
            "InvalidRequest", f"Temporal refuses an event of {slug}: {error.message}"
        )
    return TemporaryError(
        "TemporalUnavailable",
        f"Temporal did not take an event of {slug} ({error.status.name}): {error.message}. "
        "Check that the server runs and that the namespace exists",
    )
