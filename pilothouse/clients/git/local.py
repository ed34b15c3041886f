"""The Git repository that a folder on this machine stands in: read only, nothing is checked out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import ValidationError

from pilothouse.clients.git.environment import local_environment
from pilothouse.clients.git.mirror import LOCAL_SECONDS, MirrorDamagedError
from pilothouse.clients.git.process import Finished, run_git
from pilothouse.clients.git.reading import REGULAR_MODES, TreeEntry, read_files, read_tree
from pilothouse.models.errors import PermanentError
from pilothouse.models.repository import RepositoryRef

_MOST_FILES: Final = 50_000
_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_AT_ONCE: Final = 32 * 1024 * 1024
_SCP_FORM: Final = re.compile(r"(?P<user>[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>[^/].*)")
"""`git@host:team/shop.git`, as people clone over ssh."""


@dataclass(frozen=True)
class LocalRepository:
    """A repository of somebody who works here; nothing in it is written."""

    path: Path
    """Where its objects are: the `.git` folder, also of a linked working tree."""
    git_dir: Path
    """Where its HEAD is: the same, or the linked working tree's own."""
    prefix: str
    """The folder's path inside the repository; empty for its root."""

    @classmethod
    def around(cls, folder: Path) -> Self | None:
        """The repository that a folder stands in; None if it stands in none.

        Git itself is not asked: it would read the configuration of whoever owns the repository.
        """
        absolute = folder.resolve()
        for root in (absolute, *absolute.parents):
            git_dir = _git_dir(root / ".git")
            if git_dir is not None:
                relative = absolute.relative_to(root).as_posix()
                prefix = "" if relative == "." else relative
                return cls(path=_common(git_dir), git_dir=git_dir, prefix=prefix)
        return None

    def resolve(self, name: str) -> str:
        """The full commit id that a branch, a tag, `HEAD~1` or an abbreviated id means here.

        Raises:
            PermanentError: `RevisionNotFound`, it means no commit.
        """
        revision = self._commit(name)
        if not revision:
            raise PermanentError("RevisionNotFound", f"{name!r} is no commit of this repository")
        return revision

    def head(self) -> str:
        """The commit that is checked out; empty before the first one."""
        return self._commit("HEAD")

    def files(self, revision: str) -> Mapping[str, bytes]:
        """The regular files of a commit below the folder, read when they are asked for.

        As in a folder on disk, links are left out and hidden folders not entered.

        Args:
            revision: a full commit id.

        Raises:
            PermanentError: `RepositoryRefused`, the repository cannot be read or is too large.
        """
        try:
            return _CommittedFiles(self, read_tree(self, revision, max_files=_MOST_FILES))
        except MirrorDamagedError as error:
            raise _damaged(error) from None

    def slug(self) -> str:
        """`<host>/<path>` of the remote `origin`; empty if there is none or it is no such URL."""
        finished = self._run("config", "--get", "remote.origin.url")
        url = finished.out.decode(errors="replace").strip()
        if "://" not in url and (match := _SCP_FORM.fullmatch(url)):
            url = f"ssh://{match['user'] or ''}{match['host']}/{match['path']}"
        try:
            return RepositoryRef(url=url).slug
        except ValidationError:
            return ""

    def _commit(self, name: str) -> str:
        peeled = f"{name}^{{commit}}"
        finished = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", peeled)
        return finished.out.decode("ascii").strip() if finished.code == 0 else ""

    def _run(self, *arguments: str) -> Finished:
        environment = {**local_environment(self.path), "GIT_DIR": str(self.git_dir)}
        return run_git(self.git_dir, arguments, environment=environment, timeout=LOCAL_SECONDS)


class _CommittedFiles(Mapping[str, bytes]):
    def __init__(self, repository: LocalRepository, entries: list[TreeEntry]) -> None:
        self._repository = repository
        start = f"{repository.prefix}/" if repository.prefix else ""
        inside = {e.path.removeprefix(start): e for e in entries if e.path.startswith(start)}
        self._entries = {
            path: entry
            for path, entry in inside.items()
            if entry.mode in REGULAR_MODES and not _is_hidden(path)
        }

        total = sum(entry.size for entry in self._entries.values())
        # One process reads them all; only where that is too much does each cost one.
        self._read = self._contents(self._entries) if total <= _MOST_AT_ONCE else {}

    def __getitem__(self, path: str) -> bytes:
        if path in self._read:
            return self._read[path]
        entry = self._entries[path]
        if entry.size > _MOST_BYTES:
            raise PermanentError("RepositoryRefused", f"{path} is larger than {_MOST_BYTES} bytes")
        return self._contents({path: entry})[path]

    def _contents(self, entries: Mapping[str, TreeEntry]) -> dict[str, bytes]:
        try:
            files = read_files(self._repository, entries.values(), max_file_bytes=_MOST_BYTES)
            read = zip(entries, files, strict=True)
            return {path: file.data for path, file in read if file.data is not None}
        except MirrorDamagedError as error:
            raise _damaged(error) from None

    def __contains__(self, path: object) -> bool:
        return path in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/")[:-1])


def _git_dir(dot_git: Path) -> Path | None:
    if dot_git.is_dir():
        return dot_git
    if not dot_git.is_file():
        return None
    # A linked working tree or a submodule: a file that says where.
    word, _, place = dot_git.read_text(encoding="utf-8", errors="replace").partition(":")
    return (dot_git.parent / place.strip()).resolve() if word == "gitdir" else None


def _common(git_dir: Path) -> Path:
    said = git_dir / "commondir"
    if not said.is_file():
        return git_dir
    return (git_dir / said.read_text(encoding="utf-8", errors="replace").strip()).resolve()


def _damaged(error: MirrorDamagedError) -> PermanentError:
    return PermanentError("RepositoryRefused", f"the repository cannot be read: {error}")
