"""A workspace's files at exact revisions: what a path means, and where it comes from."""

import re
from collections import OrderedDict
from threading import Lock
from typing import Final, NamedTuple

from pilothouse.clients.git.operations import OperationMirrors
from pilothouse.clients.git.reading import TreeFile
from pilothouse.models.errors import PermanentError
from pilothouse.workspace.configuration import Workspace

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024
MAX_KEPT: Final = 4
"""Revisions in memory: a commit never changes, so what was read once is right for ever."""
STATUS: Final = "status/"
_SECRET: Final = re.compile(
    rb"""^[\s{,-]*["']?kind["']?\s*:\s*["']?Secret["']?\s*[,}]?\s*(?:\#.*)?$""", re.MULTILINE
)


class Heads(NamedTuple):
    """Where the two branches stand, asked once for each call."""

    revision: str
    """Of the default branch."""
    status: str
    """Of the status branch; empty: it does not exist yet."""


class Placed(NamedTuple):
    """A file, and the commit that it was read from."""

    file: TreeFile
    revision: str
    branch: str


class View(NamedTuple):
    """All files of a workspace at one moment."""

    heads: Heads
    files: dict[str, Placed]


class Snapshots:
    """Reads workspaces at their heads. Blocking; called from threads.

    Args:
        mirrors: where the repositories' commits are.
    """

    def __init__(self, mirrors: OperationMirrors) -> None:
        self._mirrors = mirrors
        self._kept: OrderedDict[tuple[str, str], dict[str, TreeFile]] = OrderedDict()
        self._lock = Lock()

    def heads(self, workspace: Workspace) -> Heads:
        """Ask the server for both heads. Idempotent.

        Raises:
            PermanentError: `RepositoryUnavailable`, also if the default branch does not exist.
            TemporaryError: `RepositoryUnavailable`.
        """
        repository = workspace.repository
        revision = self._mirrors.head(repository, repository.default_ref)
        if revision is None:
            raise PermanentError(
                "RepositoryUnavailable", f"{repository.slug} has no branch {repository.default_ref}"
            )
        return Heads(revision, self._mirrors.head(repository, workspace.status_ref) or "")

    def view(self, workspace: Workspace) -> View:
        """The default branch's files, and the status branch's beside them.

        Below `status/` the status branch counts first; everywhere else the default branch does, so
        that what an agent has written never hides what people have merged.
        """
        heads = self.heads(workspace)
        branches = [(heads.revision, workspace.repository.default_branch)]
        if heads.status:
            branches.append((heads.status, workspace.status_branch))
        files: dict[str, Placed] = {}
        for revision, branch in branches:
            for path, file in self._files(workspace, revision).items():
                if path.startswith(STATUS) or path not in files:
                    files[path] = Placed(file, revision, branch)
        return View(heads, files)

    def _files(self, workspace: Workspace, revision: str) -> dict[str, TreeFile]:
        key = (workspace.id, revision)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        files = {
            file.path: file
            for file in self._mirrors.files(
                workspace.repository,
                revision,
                max_file_bytes=MAX_FILE_BYTES,
                max_total_bytes=MAX_TOTAL_BYTES,
            )
        }
        with self._lock:
            self._kept[key] = files
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return files


def holds_secret(file: TreeFile) -> bool:
    """Whether a file declares a Kubernetes Secret, whose values no agent is to see."""
    return file.data is not None and _SECRET.search(file.data) is not None


def text_of(path: str, placed: Placed | None) -> str:
    """A file's text.

    Raises:
        PermanentError: `ToolRefused`: it does not exist, is too large, no text, or a Secret.
    """
    if placed is None:
        raise PermanentError("ToolRefused", f"there is no file /{path} at this revision")
    if placed.file.data is None:
        raise PermanentError("ToolRefused", f"/{path} is a link, or larger than 1 MiB")
    if holds_secret(placed.file):
        raise PermanentError("ToolRefused", f"/{path} declares a Secret, which is not shown")
    try:
        return placed.file.data.decode()
    except UnicodeDecodeError:
        raise PermanentError("ToolRefused", f"/{path} is not UTF-8 text") from None
