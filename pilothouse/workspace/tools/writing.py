"""write_file, copy_file, move_file, delete_file: commits on the status branch."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from pilothouse.models.errors import PermanentError
from pilothouse.models.workspace import EmittedEvent
from pilothouse.workspace.gate import caller, note
from pilothouse.workspace.paths import repository_path, writable_path
from pilothouse.workspace.snapshots import Placed, Snapshots, holds_secret
from pilothouse.workspace.stage_events import check_event, run_of, stage_end
from pilothouse.workspace.status_branch import StatusBranch, Written, operation_id
from pilothouse.workspace.workflows import Requests

MAX_CONTENT: Final = 1024 * 1024
IdempotencyKey = Annotated[str, Field(max_length=200)]
"""The same key for the same call: repeated, it is carried out once."""


class FileWritten(Written):
    """What became of one file."""

    path: str
    emitted: str = ""
    """The stage event that this write told the run of; empty: none."""
    run: str = ""
    """Workflow id of the run that was told."""


class WritingTools:
    """Writes below the key's folders, on the status branch only."""

    def __init__(self, snapshots: Snapshots, branch: StatusBranch, requests: Requests) -> None:
        self._snapshots = snapshots
        self._branch = branch
        self._requests = requests

    async def write_file(
        self, path: str, content: str, idempotency_key: IdempotencyKey = ""
    ) -> FileWritten:
        """Write a whole text file: a commit on the status branch, below this key's folders."""
        if len(content.encode()) > MAX_CONTENT:
            raise PermanentError("ToolRefused", "the content is larger than 1 MiB")
        key = caller().key
        plain = writable_path(path, key.folders)
        event = check_event(plain, key, by_writing=True)
        end = stage_end(content) if event else None
        operation = operation_id(key, "write_file", idempotency_key, plain, content)
        written = await self.commit({plain: content.encode()}, f"Write {plain}", operation)
        run = ""
        if end is not None:
            run = run_of(caller().workspace.repository.slug, end)
            message = EmittedEvent(
                event=event, by=key.id, revision=end.revision, status_commit=written.revision
            )
            if not await (await self._requests()).emit(run, message):
                raise PermanentError(
                    "ToolRefused",
                    f"/{plain} was written in {written.revision}, but {run} does not run, so no "
                    "stage was ended",
                )
        return FileWritten(**written.model_dump(), path=f"/{plain}", emitted=event, run=run)

    async def copy_file(
        self, source: str, destination: str, idempotency_key: IdempotencyKey = ""
    ) -> FileWritten:
        """Copy a file to a path below this key's folders, on the status branch."""
        old, plain = repository_path(source), self._changeable(destination)
        operation = operation_id(caller().key, "copy_file", idempotency_key, old, plain)
        placed = await self._existing(old)
        written = await self.commit({plain: _bytes(placed)}, f"Copy to {plain}", operation)
        return FileWritten(**written.model_dump(), path=f"/{plain}")

    async def move_file(
        self, source: str, destination: str, idempotency_key: IdempotencyKey = ""
    ) -> FileWritten:
        """Move a file of the status branch, both paths below this key's folders."""
        old, new = self._changeable(source), self._changeable(destination)
        operation = operation_id(caller().key, "move_file", idempotency_key, old, new)
        done = await asyncio.to_thread(self._branch.find, caller().workspace, operation)
        if done is None:
            placed = await self._existing(old, on_status_branch=True)
            done = await self.commit({old: None, new: _bytes(placed)}, f"Move to {new}", operation)
        return FileWritten(**done.model_dump(), path=f"/{new}")

    async def delete_file(self, path: str, idempotency_key: IdempotencyKey = "") -> FileWritten:
        """Delete a file of the status branch, below this key's folders. Git keeps what it was."""
        plain = self._changeable(path)
        operation = operation_id(caller().key, "delete_file", idempotency_key, plain)
        written = await self.commit({plain: None}, f"Delete {plain}", operation)
        return FileWritten(**written.model_dump(), path=f"/{plain}")

    async def commit(
        self, changes: Mapping[str, bytes | None], subject: str, operation: str
    ) -> Written:
        """Commit what a tool has checked, once for each operation."""
        present = caller()
        written = await asyncio.to_thread(
            self._branch.commit,
            present.workspace,
            present.key,
            changes,
            subject=subject,
            operation=operation,
        )
        note(revision=written.revision, operation=operation)
        return written

    def _changeable(self, path: str) -> str:
        plain = writable_path(path, caller().key.folders)
        check_event(plain, caller().key, by_writing=False)
        return plain

    async def _existing(self, path: str, *, on_status_branch: bool = False) -> Placed:
        workspace = caller().workspace
        view = await asyncio.to_thread(self._snapshots.view, workspace)
        placed = view.files.get(path)
        if placed is None or (on_status_branch and placed.branch != workspace.status_branch):
            where = f" on {workspace.status_branch}" if on_status_branch else ""
            raise PermanentError("ToolRefused", f"there is no file /{path}{where}")
        return placed


def _bytes(placed: Placed) -> bytes:
    if placed.file.data is None or holds_secret(placed.file):
        raise PermanentError(
            "ToolRefused", "links, files over 1 MiB and Secrets are not copied or moved"
        )
    return placed.file.data
