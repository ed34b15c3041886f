"""The agents that took part in a run, found in Temporal."""

import re
from typing import Final, NamedTuple

from temporalio.client import Client, WorkflowExecutionStatus

from pilothouse.models import names
from pilothouse.models.agents import AgentResult
from pilothouse.models.errors import PermanentError

MAX_AGENTS: Final = 100
_COMMIT: Final = re.compile(r"[0-9a-f]{7,40}")
_ID: Final = re.compile(r"[A-Za-z0-9_.:/@+-]{1,900}")


class FoundAgent(NamedTuple):
    """One agent's part of a run."""

    workflow: str
    """Workflow id."""
    status: str
    """`running`, `completed`, `canceled`, ..."""
    result: AgentResult | None
    """What it knows so far, or in the end; None if it ended without a result."""

    @property
    def name(self) -> str:
        """As the pipeline file names it."""
        return self.workflow.rpartition("/")[2]


async def find_agents(client: Client, run: str) -> list[FoundAgent]:
    """The agents of a run, of a deployment, or of all runs of a commit; oldest first.

    Args:
        client: of Temporal.
        run: a workflow id, of a run, a deployment or an agent; or a commit id of at least seven
            digits.

    Raises:
        PermanentError: `InvalidRequest`, it can be neither.
    """
    found = []
    async for execution in client.list_workflows(
        f'WorkflowType = "{names.AGENT_WORKFLOW}" AND ({_query(run)})', limit=MAX_AGENTS
    ):
        handle = client.get_workflow_handle(
            execution.id, run_id=execution.run_id, result_type=AgentResult
        )
        status = execution.status or WorkflowExecutionStatus.RUNNING
        result = None
        if status is WorkflowExecutionStatus.COMPLETED:
            result = await handle.result()
        elif status is WorkflowExecutionStatus.RUNNING:
            result = await handle.query(names.QUERY_STATE, result_type=AgentResult)
        found.append(FoundAgent(execution.id, status.name.lower(), result))
    return found[::-1]


def _query(run: str) -> str:
    if _COMMIT.fullmatch(run):
        return f'{names.SEARCH_REVISION} STARTS_WITH "{run}"'
    if not _ID.fullmatch(run):
        raise PermanentError(
            "InvalidRequest",
            f"{run[:80]!r} is neither a workflow id such as pipeline/<host>/<path>/push/<commit> "
            "nor a commit id of at least seven digits",
        )
    query = f'WorkflowId = "{run}" OR WorkflowId STARTS_WITH "{run}/"'
    kind, _, rest = run.partition("/")
    slug, _, revision = rest.rpartition("/")
    slug = slug.rpartition("/")[0]
    if kind == "pipeline" and slug and _COMMIT.fullmatch(revision):
        # The deployer is asked by the deployments that the run started.
        deployments = names.deployment_id(slug, "", "").rstrip("/")
        query += (
            f' OR (WorkflowId STARTS_WITH "{deployments}/" '
            f'AND {names.SEARCH_REVISION} = "{revision}")'
        )
    return query
