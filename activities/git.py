"""Git: read heads, take snapshots, propose and publish commits. Holds the Git credentials."""

from datetime import datetime

from temporalio import activity

from pilothouse.clients.git import GitMirrors
from pilothouse.clients.store import ContentStore
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.objects import canonical_json
from pilothouse.models.repository import RepositoryRef, Snapshot
from pilothouse.models.steps import (
    CommitRequest,
    Head,
    HeadRequest,
    Order,
    OrderRequest,
    ProposedCommit,
    PublishRequest,
    SnapshotRequest,
)

MAX_SNAPSHOT_BYTES = 256 * 1024 * 1024
"""A repository of desired state is text; more than this is something else."""


class GitActivities:
    """What workflows may do to repositories."""

    def __init__(self, *, mirrors: GitMirrors, store: ContentStore) -> None:
        self._mirrors = mirrors
        self._store = store

    @activity.defn
    def read_head(self, request: HeadRequest) -> Head:
        """Read from the remote where a ref points now. Idempotent."""
        return Head(revision=self._mirrors.head(request.repository, request.ref) or "")

    @activity.defn
    def take_snapshot(self, request: SnapshotRequest) -> Snapshot:
        """Put the files of one revision into the content store.

        Symlinks and submodules are listed in the tree without content, so that nothing can follow
        them. Idempotent: the same revision gives the same digests.

        Raises:
            ApplicationError: `RevisionNotFound`, `RepositoryRefused`, final;
                `RepositoryUnavailable`, retried.
        """
        commit = self._mirrors.commit(request.repository, request.revision)
        tree: dict[str, dict[str, str | int]] = {}
        total = 0
        for file in self._mirrors.files(request.repository, request.revision):
            entry: dict[str, str | int] = {"mode": file.mode, "size": file.size}
            if file.data is not None:
                total += len(file.data)
                if total > MAX_SNAPSHOT_BYTES:
                    raise PermanentError(
                        "RepositoryRefused",
                        f"the revision holds more than {MAX_SNAPSHOT_BYTES >> 20} MiB of files",
                    )
                entry["digest"] = self._store.put(file.data)
            tree[file.path] = entry
            activity.heartbeat(len(tree))
        digest = self._store.put(canonical_json(tree))
        return Snapshot(commit=commit, tree=digest, files=len(tree), bytes=total)

    @activity.defn
    def compare_revisions(self, request: OrderRequest) -> Order:
        """Say whether one revision comes before another, by ancestry. Idempotent.

        Histories that have parted are not older than each other, nor is anything older than a
        revision that was forced out of the repository.

        Raises:
            ApplicationError: `RevisionNotFound`, the revision itself is unknown;
                `RepositoryUnavailable`, retried.
        """
        if request.revision == request.than:
            return Order(older=False)
        self._mirrors.commit(request.repository, request.revision)
        try:
            older = self._mirrors.is_ancestor(request.repository, request.revision, request.than)
        except PermanentError as error:
            if error.type != "RevisionNotFound":
                raise
            older = False
        return Order(older=older)

    @activity.defn
    def propose_commit(self, request: CommitRequest) -> ProposedCommit:
        """Make a commit on top of the branch's head, without pushing it.

        Its id is in the history before anyone else can see the commit; that is how we know our own.
        Idempotent: on the same head the same request gives the same id.

        Raises:
            ApplicationError: `RevertConflict`, final; `RepositoryUnavailable`, retried.
        """
        base = self._mirrors.head(request.repository, f"refs/heads/{request.branch}") or ""
        return self._build(request, base)

    @activity.defn
    def publish_commit(self, request: PublishRequest) -> bool:
        """Push a proposed commit; False if the branch moved meanwhile and it must be proposed anew.

        Builds it again first, so that it does not matter which machine proposed it. Idempotent: a
        branch that already holds the commit is a success.

        Raises:
            ApplicationError: `RepositoryRefused`, final, e.g. a protected branch;
                `RepositoryUnavailable`, retried.
        """
        commit, proposed = request.commit, request.proposed
        ref = f"refs/heads/{commit.branch}"
        head = self._mirrors.head(commit.repository, ref) or ""
        if head == proposed.revision:
            return True
        if head != proposed.base:
            # Pushed by an earlier attempt, and others went on; or the branch moved without us.
            return self._holds(commit.repository, head, proposed.revision)
        rebuilt = self._build(commit, proposed.base)
        if rebuilt.revision != proposed.revision:
            raise PermanentError(
                "DigestMismatch",
                f"rebuilding {proposed.revision} gave {rebuilt.revision}; nothing was pushed",
            )
        try:
            self._mirrors.push(
                commit.repository, ref=ref, revision=rebuilt.revision, expected=head or None
            )
        except TemporaryError as error:
            if error.type != "BranchMoved":
                raise
            return False
        return True

    def _holds(self, repository: RepositoryRef, head: str, revision: str) -> bool:
        if not head:
            return False
        self._mirrors.commit(repository, head)
        try:
            return self._mirrors.is_ancestor(repository, revision, head)
        except PermanentError as error:
            if error.type != "RevisionNotFound":
                raise
            # Proposed on another machine: what the server does not have is not on its branch.
            return False

    def _build(self, request: CommitRequest, base: str) -> ProposedCommit:
        when = datetime.fromisoformat(request.when)
        if request.kind == "revert":
            for revision in (base, request.bad, request.good):
                self._mirrors.commit(request.repository, revision)
            revision = self._mirrors.build_revert(
                request.repository,
                head=base,
                bad=request.bad,
                good=request.good,
                message=request.message,
                when=when,
            )
        else:
            if base:
                self._mirrors.commit(request.repository, base)
            changes: dict[str, bytes | None] = {
                path: text.encode() for path, text in request.files.items()
            }
            revision = self._mirrors.build_commit(
                request.repository,
                base=base or None,
                changes=changes,
                message=request.message,
                when=when,
            )
        return ProposedCommit(revision=revision, base=base)
