"""What agents write: commits on the status branch, each operation once."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from uuid import uuid4

from pilothouse.clients.git.operations import TRAILER, OperationMirrors
from pilothouse.models.base import Contract
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.workspace.configuration import Workspace
from pilothouse.workspace.keys import ApiKey

MAX_TRIES: Final = 10


class Written(Contract):
    """What became of a write."""

    revision: str
    """The commit on the status branch that holds it; empty: there was nothing to do."""
    branch: str
    operation: str
    """The operation id, as the commit's trailer has it."""
    changed: bool
    """False: the files were so already, or this operation had been carried out before."""


def operation_id(key: ApiKey, tool: str, idempotency_key: str, *arguments: str) -> str:
    """The same for the same call, if it has an idempotency key; a fresh one if it has none.

    The arguments count too: a key that is used again for something else is another operation, and
    nobody is told that a thing was done which was not.
    """
    words = (key.id, tool, idempotency_key or f"once {uuid4()}", *arguments)
    return sha256("\0".join(words).encode()).hexdigest()[:32]


class StatusBranch:
    """Writes to workspaces' status branches. Blocking; called from threads."""

    def __init__(
        self,
        mirrors: OperationMirrors,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mirrors = mirrors
        self._now = now

    def commit(
        self,
        workspace: Workspace,
        key: ApiKey,
        changes: Mapping[str, bytes | None],
        *,
        subject: str,
        operation: str,
    ) -> Written:
        """Commit and push, on whatever head the branch has by then. Idempotent by operation.

        Args:
            workspace: whose status branch.
            key: whose name the commit carries as its author.
            changes: path -> new content; None deletes.
            subject: one line, of our own words and checked paths.
            operation: from `operation_id`.

        Raises:
            PermanentError: `RepositoryRefused`, the server declines it; `InvalidRequest`.
            TemporaryError: `BranchMoved`, it moved under each of ten tries;
                `RepositoryUnavailable`.
        """
        repository, ref = workspace.repository, workspace.status_ref
        if ref == repository.default_ref:
            raise PermanentError("ToolRefused", "agents never write the default branch")
        message = f"{subject}\n\n{TRAILER}: {operation}\nPilothouse-Key: {key.id}\n"
        for _ in range(MAX_TRIES):
            head = self._mirrors.head(repository, ref)
            done = head and self._mirrors.find_operation(repository, head, operation)
            if done:
                return self._written(workspace, done, operation, changed=False)
            revision = self._mirrors.build_commit(
                repository,
                base=head,
                changes=changes,
                message=message,
                when=self._now(),
                allow_empty=False,
                author=f"{key.name} <{key.id}@agents.invalid>",
            )
            if revision == head:
                return self._written(workspace, revision, operation, changed=False)
            try:
                self._mirrors.push(repository, ref=ref, revision=revision, expected=head)
            except TemporaryError as error:
                if error.type != "BranchMoved":
                    raise
                continue
            return self._written(workspace, revision, operation, changed=True)
        raise TemporaryError(
            "BranchMoved", f"{workspace.status_branch} moved under each of {MAX_TRIES} tries"
        )

    def find(self, workspace: Workspace, operation: str) -> Written | None:
        """What an operation wrote when it was carried out; None if it was not. Idempotent."""
        head = self._mirrors.head(workspace.repository, workspace.status_ref)
        done = head and self._mirrors.find_operation(workspace.repository, head, operation)
        return self._written(workspace, done, operation, changed=False) if done else None

    def _written(
        self, workspace: Workspace, revision: str, operation: str, *, changed: bool
    ) -> Written:
        return Written(
            revision=revision,
            branch=workspace.status_branch,
            operation=operation,
            changed=changed,
        )
