"""transfer_ownership: an environment is handed to a person, who alone approves there then."""

from pilothouse.clients.temporal.requests import WorkspaceRequests
from pilothouse.gitops.ownership import is_email
from pilothouse.models.base import Contract
from pilothouse.models.environment import OwnershipClaim
from pilothouse.models.errors import PermanentError
from pilothouse.workspace.gate import caller
from pilothouse.workspace.workflows import Requests


class EnvironmentHanded(Contract):
    """What became of one environment."""

    environment: str
    transferred: bool
    """Whether it is the new owner's now."""
    owner: str = ""
    """Whose it is now; empty: nobody's, or not known yet."""
    reason: str = ""
    """Why it was not transferred."""


class WorkspaceHanded(Contract):
    """What became of a workspace's environments."""

    workspace_id: str
    new_owner_email: str
    environments: tuple[EnvironmentHanded, ...]


class OwnershipTools:
    """Hands over to people; what a person has, only people hand on."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def transfer_ownership(
        self, workspace_id: str, new_owner_email: str, environment: str = ""
    ) -> WorkspaceHanded:
        """Hand a workspace's environments, or one of them, to a person. Idempotent.

        From then on that person alone approves deployments there; agents go on watching. A person
        hands it back or on, never a key.
        """
        workspace = caller().workspace
        if workspace_id != workspace.id:
            raise PermanentError("ToolRefused", "this key opens another workspace")
        if not is_email(new_owner_email):
            raise PermanentError("ToolRefused", "new_owner_email is no e-mail address")
        if environment and environment not in workspace.environments:
            raise PermanentError("ToolRefused", "the workspace declares no such environment")
        wanted = (environment,) if environment else tuple(workspace.environments)
        if not wanted:
            raise PermanentError(
                "ToolRefused", "the workspace declares no environment to hand over"
            )
        requests = await self._requests()
        handed = [await self._hand(requests, each, new_owner_email) for each in wanted]
        return WorkspaceHanded(
            workspace_id=workspace_id, new_owner_email=new_owner_email, environments=tuple(handed)
        )

    async def _hand(
        self, requests: WorkspaceRequests, environment: str, owner: str
    ) -> EnvironmentHanded:
        present = caller()
        claim = OwnershipClaim(
            owner=owner, by=present.key.id, reason=f"handed over by the agent {present.key.name}"
        )
        state = await requests.transfer(present.workspace.repository, environment, claim)
        if state is None:
            reason = "the environment is told, but no worker is up to answer: call again"
            return EnvironmentHanded(environment=environment, transferred=False, reason=reason)
        done = state.owner.lower() == owner.lower()
        reason = "" if done else f"{state.owner or 'nobody'} owns it: a person must hand it on"
        return EnvironmentHanded(
            environment=environment, transferred=done, owner=state.owner, reason=reason
        )
