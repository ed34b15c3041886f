"""`GitMirrors`: everything that we do with repositories. Blocking; called from threads."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import SecretStr

from pilothouse.clients.git.border import (
    checked_new_path,
    checked_ref,
    checked_revision,
    checked_url,
)
from pilothouse.clients.git.environment import Credentials
from pilothouse.clients.git.exchange import ensure, is_ancestor, publish, read_head
from pilothouse.clients.git.mirror import Mirror, MirrorDamagedError
from pilothouse.clients.git.reading import (
    TreeEntry,
    TreeFile,
    read_commit,
    read_files,
    read_tree,
)
from pilothouse.clients.git.writing import (
    IDENTITY,
    CommitText,
    Content,
    changes_nothing,
    revert_changes,
    write_commit,
)
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import Commit, RepositoryRef

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_TOTAL_BYTES = 256 * 1024 * 1024

_Answer = TypeVar("_Answer")
_log = structlog.get_logger()


class GitMirrors:
    """Bare mirrors of repositories, one a URL, shared by threads and processes.

    What a method needs and the mirror lacks is fetched first; a mirror found damaged is thrown
    away and fetched again. Every method raises, besides what it names: PermanentError
    `RepositoryRefused` (the URL, ref or revision is not allowed; no permission; Git's own checks
    fail) and `RepositoryUnavailable` (no such repository); TemporaryError `RepositoryUnavailable`
    (network, time-out).

    Args:
        directory: where the mirrors are; made if need be.
        credentials: host, or host:port -> value of the HTTP Authorization header.
        timeout: seconds for each exchange with a server.
    """

    def __init__(
        self,
        directory: Path,
        *,
        credentials: Mapping[str, SecretStr] | None = None,
        timeout: float = 60,
    ) -> None:
        self._directory = directory.absolute()
        self._credentials = Credentials(credentials or {})
        self._timeout = timeout
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def head(self, repository: RepositoryRef, ref: str) -> str | None:
        """Ask the server where a ref points; None if it does not exist. Idempotent.

        An annotated tag gives the commit that it names.
        """
        ref = checked_ref(ref)
        return self._on(repository, lambda mirror: read_head(mirror, ref))

    def commit(self, repository: RepositoryRef, revision: str) -> Commit:
        """Fetch a revision if need be, and say who made it. Idempotent.

        Raises:
            PermanentError: `RevisionNotFound`, the server does not have it.
        """
        revision = checked_revision(revision)

        def read(mirror: Mirror) -> Commit:
            ensure(mirror, revision)
            return read_commit(mirror, revision)

        return self._on(repository, read)

    def files(
        self,
        repository: RepositoryRef,
        revision: str,
        *,
        max_file_bytes: int = MAX_FILE_BYTES,
        max_total_bytes: int = MAX_TOTAL_BYTES,
    ) -> Iterator[TreeFile]:
        """Yield every file of a revision with its bytes, in the order of their names in Git.

        Symlinks, submodules and files over `max_file_bytes` come without bytes. Nothing is read
        if the revision holds too much in all.

        Raises:
            PermanentError: `RevisionNotFound`; `RepositoryRefused`, more than 20,000 files or
                `max_total_bytes`, or a path that is not safe.
        """
        revision = checked_revision(revision)
        mirror = self._mirror(repository)
        entries = self._on(repository, lambda mirror: _tree(mirror, revision))
        total = sum(entry.size for entry in entries if entry.size <= max_file_bytes)
        if total > max_total_bytes:
            raise PermanentError(
                "RepositoryRefused",
                f"the revision holds {total} bytes of files, and {max_total_bytes} are allowed",
            )
        done = 0
        for _ in range(2):
            mirror.prepare()
            try:
                for file in read_files(mirror, entries[done:], max_file_bytes=max_file_bytes):
                    done += 1
                    yield file
                return
            except MirrorDamagedError as error:
                _discard(mirror, error)
                self._on(repository, lambda mirror: ensure(mirror, revision))
        raise _damaged_again()

    def is_ancestor(self, repository: RepositoryRef, ancestor: str, descendant: str) -> bool:
        """Whether one commit can be reached from another; a commit is its own ancestor.

        Raises:
            PermanentError: `RevisionNotFound`.
        """
        revisions = checked_revision(ancestor), checked_revision(descendant)

        def compare(mirror: Mirror) -> bool:
            ensure(mirror, *revisions)
            return is_ancestor(mirror, *revisions)

        return self._on(repository, compare)

    def build_commit(
        self,
        repository: RepositoryRef,
        *,
        base: str | None,
        changes: Mapping[str, bytes | None],
        message: str,
        when: datetime,
        allow_empty: bool = True,
        author: str = IDENTITY,
    ) -> str:
        """Make a commit in the mirror, push nothing, and return its id.

        Idempotent, on every machine: the same base, changes, message, author and second give the
        same id. A changed file keeps its mode.

        Args:
            repository: whose mirror.
            base: the parent, fetched if need be; None makes a root commit.
            changes: path -> new content; None deletes, also what is not there.
            message: as it stands; blanks around it are cut.
            when: with a time zone.
            allow_empty: False returns `base` if the changes change nothing.
            author: `name <e-mail>`; the committer is always ours.

        Raises:
            PermanentError: `RevisionNotFound`; `InvalidRequest`, a path, message or moment that
                cannot stand in a commit.
        """
        base = checked_revision(base) if base else None
        wanted = {
            checked_new_path(path): None if data is None else Content(data)
            for path, data in changes.items()
        }

        def build(mirror: Mirror) -> str:
            entries = _tree(mirror, base) if base else []
            if base and not allow_empty and changes_nothing(entries, wanted):
                return base
            with mirror.locked():
                return write_commit(
                    mirror,
                    base=base,
                    entries=entries,
                    changes=wanted,
                    text=CommitText(message, when, author),
                )

        return self._on(repository, build)

    def build_revert(
        self,
        repository: RepositoryRef,
        *,
        head: str,
        bad: str,
        good: str,
        message: str,
        when: datetime,
        keep: tuple[str, ...] = ("status/",),
    ) -> str:
        """Make a commit on `head` that undoes what changed from `good` to `bad`; push nothing.

        Whole files are compared: one that `head` has as `bad` had it becomes what `good` had, and
        one that `head` already has as `good` had it stays. Idempotent, like `build_commit`.

        Args:
            repository: whose mirror.
            head: the parent of the new commit.
            bad: the revision to undo.
            good: the revision to restore.
            message: as it stands.
            when: with a time zone.
            keep: paths that begin so stay as `head` has them.

        Raises:
            PermanentError: `RevertConflict`, other changes came since, names their paths;
                `RevisionNotFound`.
        """
        revisions = [checked_revision(each) for each in (head, bad, good)]

        def build(mirror: Mirror) -> str:
            at_head, at_bad, at_good = (_tree(mirror, each) for each in revisions)
            changes = revert_changes(head=at_head, bad=at_bad, good=at_good, keep=keep)
            with mirror.locked():
                return write_commit(
                    mirror,
                    base=head,
                    entries=at_head,
                    changes=changes,
                    text=CommitText(message, when),
                )

        return self._on(repository, build)

    def push(
        self, repository: RepositoryRef, *, ref: str, revision: str, expected: str | None
    ) -> None:
        """Move a ref forward to a commit that the mirror holds. Never forces.

        Idempotent: a ref that already points there is a success.

        Args:
            repository: where to.
            ref: full name.
            revision: the commit, a descendant of `expected`.
            expected: where the ref points now; None: it does not exist.

        Raises:
            PermanentError: `RepositoryRefused`, not a descendant, or the server declines it: a
                protected branch or a hook, in its words.
            TemporaryError: `BranchMoved`, the ref points elsewhere; `RepositoryUnavailable`, also
                if the mirror has lost the commit, which must then be built again.
        """
        ref, revision = checked_ref(ref), checked_revision(revision)
        expected = checked_revision(expected) if expected else None

        self._on(repository, lambda mirror: publish(mirror, ref, revision, expected))
        _log.info("git.pushed", repository=repository.slug, ref=ref, revision=revision)

    def _mirror(self, repository: RepositoryRef) -> Mirror:
        return Mirror(self._directory, checked_url(repository), self._credentials, self._timeout)

    def _on(self, repository: RepositoryRef, work: Callable[[Mirror], _Answer]) -> _Answer:
        mirror = self._mirror(repository)
        for _ in range(2):
            mirror.prepare()
            try:
                return work(mirror)
            except MirrorDamagedError as error:
                _discard(mirror, error)
        raise _damaged_again()


def _tree(mirror: Mirror, revision: str) -> list[TreeEntry]:
    ensure(mirror, revision)
    return read_tree(mirror, revision)


def _discard(mirror: Mirror, error: MirrorDamagedError) -> None:
    _log.warning(
        "git.mirror_damaged", mirror=mirror.path.name, error=mirror.scrubber.clean(str(error))
    )
    mirror.discard()


def _damaged_again() -> TemporaryError:
    return TemporaryError(
        "RepositoryUnavailable",
        "the local mirror was damaged, made anew and damaged again: check the worker's disk",
    )
