"""What passes between the workspace server and the workflows: leases, and events of outsiders."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pilothouse.models.base import Claim, Contract
from pilothouse.models.environment import LockAnswer
from pilothouse.models.repository import RepositoryRef, Revision

KeyId = Annotated[str, StringConstraints(pattern=r"^k[0-9a-f]{12}$")]
"""Who calls the workspace server: the id of an API key, never the key."""

LEASE_SECONDS = 900
"""How long a lock stays with a key that says nothing more."""


WORKSPACE_SERVER = "workspace"
"""The MCP server that `mcp_tools` mean which no declared server has: our own."""
WORKSPACE_TOOLS: dict[str, Literal["read", "write", "external"]] = {
    "list_files": "read",
    "read_file": "read",
    "rag_query": "read",
    "lock_status": "read",
    "write_file": "write",
    "copy_file": "write",
    "move_file": "write",
    "delete_file": "write",
    "acquire_lock": "write",
    "release_lock": "write",
    "git_clone": "external",
    "import_url": "external",
    "exec_shell": "external",
    "send_webhook": "external",
    "transfer_ownership": "external",
}
"""What each of its tools does to the world."""


class LeaseRequest(Contract):
    """Starts a lease: a workflow that holds a lock for somebody who is no workflow.

    An environment answers and probes the holders of its lock by signal, so each must be a workflow.
    """

    repository: RepositoryRef
    environment: str
    """An environment, or `names.lock_name(path)` for the lock of a path."""
    holder: KeyId
    revision: Revision
    lease_seconds: int = Field(default=LEASE_SECONDS, ge=5, le=3600)
    """It ends when it was not renewed for so long, also while it waits in the queue."""


class LeaseState(Contract):
    """What a lease answers to the query `state`."""

    holder: str
    environment: str
    phase: Literal["waiting", "held", "refused", "ended"] = "waiting"
    answer: LockAnswer | None = None
    """The environment's word; with the fencing number once it is held."""
    expires_at: str = ""
    """ISO 8601, workflow time: when it ends unless it is renewed."""


class EmittedEvent(Claim):
    """An outside agent has ended its stage: `status.<event>` may begin what waits for it."""

    event: str = ""
    """`validated`, as triggers name it without `status.`."""
    by: str = ""
    """Id of the API key."""
    revision: str = ""
    """The revision that the run is about."""
    status_commit: str = ""
    """The commit on the status branch that holds the agent's words."""
