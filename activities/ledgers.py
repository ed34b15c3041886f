"""What an environment remembers, for a workflow that is not that environment."""

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from pilothouse.models import names
from pilothouse.models.environment import EnvironmentState
from pilothouse.models.errors import TemporaryError
from pilothouse.models.steps import LedgerEntry, LedgerRequest


class LedgerActivities:
    """What workflows may ask of the environments' ledgers."""

    def __init__(self, *, client: Client) -> None:
        self._client = client

    @activity.defn
    async def read_release(self, request: LedgerRequest) -> LedgerEntry:
        """Read how a revision did in an environment, and whose that is. Writes nothing.

        Raises:
            ApplicationError: `TemporalUnavailable`, retried: no worker answers the query.
        """
        handle = self._client.get_workflow_handle(
            names.environment_id(request.repository.slug, request.environment)
        )
        try:
            state: EnvironmentState = await handle.query(
                names.QUERY_STATE, result_type=EnvironmentState
            )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return LedgerEntry()
            raise TemporaryError("TemporalUnavailable", error.message) from error
        found = [past for past in state.releases if past.revision == request.revision]
        return LedgerEntry(release=found[-1] if found else None, owner=state.owner)
