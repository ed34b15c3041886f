"""Git activities on a real Git server: snapshots are exact, commits are made once."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from temporalio.testing import ActivityEnvironment

from activities import git as git_module
from activities.git import GitActivities
from pilothouse.clients.git import GitMirrors
from pilothouse.clients.store import ContentStore
from pilothouse.clients.tree import StoredTree
from pilothouse.local.git_server import GitServer
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.steps import (
    CommitRequest,
    HeadRequest,
    OrderRequest,
    ProposedCommit,
    PublishRequest,
    SnapshotRequest,
)

MAIN = "refs/heads/main"
STATUS = "pilothouse/status"
WHEN = "2026-03-01T12:00:00+00:00"
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


async def ask(activity: Callable[[Asked], Answer], request: Asked) -> Answer:
    """Run an activity in a thread, as the worker does."""
    return await asyncio.to_thread(ActivityEnvironment().run, activity, request)


class Author:
    """A person with a checkout."""

    def __init__(self, checkout: Path, url: str) -> None:
        self.checkout = checkout
        self._run("git", "init", "-q", "-b", "main", str(checkout))
        self.git("remote", "add", "origin", url)

    def git(self, *arguments: str) -> str:
        return self._run("git", "-C", str(self.checkout), *arguments)

    async def push(self, files: dict[str, str], message: str = "change") -> str:
        for name, text in files.items():
            path = self.checkout / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        await asyncio.to_thread(self.git, "push", "-q", "-f", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def _run(self, *command: str) -> str:
        people = {f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")}
        mail = {f"GIT_{who}_EMAIL": "ada@example.org" for who in ("AUTHOR", "COMMITTER")}
        path = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
        done = subprocess.run(
            command, env=path | people | mail, capture_output=True, check=True, timeout=20
        )
        return done.stdout.decode().strip()


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GitServer]:
    running = GitServer(tmp_path_factory.mktemp("git-server"), port=0)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@pytest.fixture
def repository(server: GitServer, tmp_path: Path) -> RepositoryRef:
    server.create(tmp_path.name)
    return RepositoryRef(url=server.url(tmp_path.name))


@pytest.fixture
def author(repository: RepositoryRef, tmp_path: Path) -> Author:
    return Author(tmp_path / "checkout", repository.url)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


@pytest.fixture
def git(store: ContentStore, tmp_path: Path) -> GitActivities:
    return GitActivities(mirrors=GitMirrors(tmp_path / "mirrors"), store=store)


def status(repository: RepositoryRef, text: str = "{}", branch: str = STATUS) -> CommitRequest:
    return CommitRequest(
        repository=repository,
        branch=branch,
        kind="status",
        message="Record\n",
        when=WHEN,
        files={"status/a.json": text},
    )


def revert(repository: RepositoryRef, bad: str, good: str) -> CommitRequest:
    return CommitRequest(
        repository=repository,
        branch="main",
        kind="revert",
        message="Revert\n",
        when=WHEN,
        bad=bad,
        good=good,
    )


# -- reading --------------------------------------------------------------------------------------


async def test_a_head_is_read_from_the_server_each_time(
    git: GitActivities, repository: RepositoryRef, author: Author
) -> None:
    look = HeadRequest(repository=repository, ref=MAIN)
    assert (await ask(git.read_head, look)).revision == ""
    first = await author.push({"a": "1"})
    assert (await ask(git.read_head, look)).revision == first
    second = await author.push({"a": "2"})
    assert (await ask(git.read_head, look)).revision == second


async def test_a_snapshot_holds_the_files_of_exactly_that_revision(
    git: GitActivities, repository: RepositoryRef, author: Author, store: ContentStore
) -> None:
    first = await author.push({"a.yaml": "one", "deep/b.yaml": "two"}, "The subject")
    await author.push({"a.yaml": "changed"})
    snapshot = await ask(git.take_snapshot, SnapshotRequest(repository=repository, revision=first))
    assert dict(StoredTree(store, snapshot.tree)) == {"a.yaml": b"one", "deep/b.yaml": b"two"}
    assert (snapshot.revision, snapshot.files, snapshot.bytes) == (first, 2, 6)
    assert (snapshot.commit.subject, snapshot.commit.author_email) == (
        "The subject",
        "ada@example.org",
    )


async def test_the_same_revision_gives_the_same_snapshot_on_another_machine(
    git: GitActivities, repository: RepositoryRef, author: Author, tmp_path: Path
) -> None:
    revision = await author.push({"a": "1", "b": "2"})
    other = GitActivities(
        mirrors=GitMirrors(tmp_path / "mirrors-2"), store=ContentStore(tmp_path / "store-2")
    )
    request = SnapshotRequest(repository=repository, revision=revision)
    assert await ask(git.take_snapshot, request) == await ask(other.take_snapshot, request)


async def test_symlinks_are_listed_and_never_followed(
    git: GitActivities, repository: RepositoryRef, author: Author, store: ContentStore
) -> None:
    (author.checkout / "passwd").symlink_to("/etc/passwd")
    (author.checkout / "run.sh").write_text("true", encoding="utf-8")
    (author.checkout / "run.sh").chmod(0o755)
    revision = await author.push({"a": "1"})
    snapshot = await ask(
        git.take_snapshot, SnapshotRequest(repository=repository, revision=revision)
    )
    tree = json.loads(store.get(snapshot.tree))
    assert tree["passwd"]["mode"] == "120000"
    assert "digest" not in tree["passwd"]
    assert set(StoredTree(store, snapshot.tree)) == {"a", "run.sh"}
    assert StoredTree(store, snapshot.tree).executables == {"run.sh"}


async def test_a_revision_that_is_not_there_is_a_final_error(
    git: GitActivities, repository: RepositoryRef, author: Author
) -> None:
    await author.push({"a": "1"})
    with pytest.raises(PermanentError) as missed:
        await ask(git.take_snapshot, SnapshotRequest(repository=repository, revision="a" * 40))
    assert missed.value.type == "RevisionNotFound"


async def test_a_revision_with_too_much_in_it_is_refused(
    git: GitActivities,
    repository: RepositoryRef,
    author: Author,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(git_module, "MAX_SNAPSHOT_BYTES", 10)
    revision = await author.push({"a": "x" * 6, "b": "x" * 5})
    with pytest.raises(PermanentError) as refused:
        await ask(git.take_snapshot, SnapshotRequest(repository=repository, revision=revision))
    assert refused.value.type == "RepositoryRefused"


async def test_a_server_that_is_not_there_is_a_temporary_error(git: GitActivities) -> None:
    nowhere = RepositoryRef(url="http://localhost:1/nowhere.git")
    with pytest.raises(TemporaryError) as failed:
        await ask(git.read_head, HeadRequest(repository=nowhere, ref=MAIN))
    assert failed.value.type == "RepositoryUnavailable"


# -- writing --------------------------------------------------------------------------------------


async def test_a_commit_is_proposed_without_being_seen_and_then_published(
    git: GitActivities, repository: RepositoryRef, author: Author
) -> None:
    await author.push({"a": "1"})
    commit = status(repository)
    look = HeadRequest(repository=repository, ref=f"refs/heads/{STATUS}")
    proposed = await ask(git.propose_commit, commit)
    assert proposed.base == ""
    assert (await ask(git.read_head, look)).revision == ""
    assert await ask(git.publish_commit, PublishRequest(commit=commit, proposed=proposed))
    assert (await ask(git.read_head, look)).revision == proposed.revision


async def test_the_same_request_on_the_same_head_is_the_same_commit(
    git: GitActivities, repository: RepositoryRef, author: Author
) -> None:
    head = await author.push({"a": "1"})
    first = await ask(git.propose_commit, status(repository, branch="main"))
    assert first == await ask(git.propose_commit, status(repository, branch="main"))
    assert first.base == head
    other = await ask(git.propose_commit, status(repository, '{"b": 1}', branch="main"))
    assert other.revision != first.revision


async def test_a_push_that_is_repeated_after_a_crash_succeeds_and_adds_nothing(
    git: GitActivities, repository: RepositoryRef, author: Author
) -> None:
    await author.push({"a": "1"})
    commit = status(repository, branch="main")
    publish = PublishRequest(commit=commit, proposed=await ask(git.propose_commit, commit))
    assert await ask(git.publish_commit, publish)
    assert await ask(git.publish_commit, publish)
    await asyncio.to_thread(author.git, "fetch", "-q", "origin", "main")
    assert author.git("rev-list", "--count", "FETCH_HEAD") == "2"


async def test_a_push_that_is_repeated_after_others_went_on_succeeds_and_adds_nothing(
    git: GitActivities, repository: RepositoryRef, author: Author
) -> None:
    await author.push({"a": "1"})
    commit = status(repository, branch="main")
    publish = PublishRequest(commit=commit, proposed=await ask(git.propose_commit, commit))
    assert await ask(git.publish_commit, publish)
    await asyncio.to_thread(author.git, "pull", "-q", "--ff-only", "origin", "main")
    head = await author.push({"a": "2"})
    assert await ask(git.publish_commit, publish)
    look = HeadRequest(repository=repository, ref=MAIN)
    assert (await ask(git.read_head, look)).revision == head


async def test_a_branch_that_moved_is_said_and_not_overwritten(
    git: GitActivities, repository: RepositoryRef, author: Author
) -> None:
    await author.push({"a": "1"})
    commit = status(repository, branch="main")
    proposed = await ask(git.propose_commit, commit)
    head = await author.push({"a": "2"})
    assert not await ask(git.publish_commit, PublishRequest(commit=commit, proposed=proposed))
    look = HeadRequest(repository=repository, ref=MAIN)
    assert (await ask(git.read_head, look)).revision == head
    again = await ask(git.propose_commit, commit)
    assert again.base == head
    assert await ask(git.publish_commit, PublishRequest(commit=commit, proposed=again))


async def test_it_does_not_matter_which_machine_proposed_the_commit(
    git: GitActivities, repository: RepositoryRef, author: Author, tmp_path: Path
) -> None:
    await author.push({"a": "1"})
    commit = status(repository, branch="main")
    proposed = await ask(git.propose_commit, commit)
    other = GitActivities(
        mirrors=GitMirrors(tmp_path / "mirrors-2"), store=ContentStore(tmp_path / "store-2")
    )
    assert await ask(other.publish_commit, PublishRequest(commit=commit, proposed=proposed))
    look = HeadRequest(repository=repository, ref=MAIN)
    assert (await ask(git.read_head, look)).revision == proposed.revision


async def test_a_branch_that_moved_is_said_on_another_machine_too(
    git: GitActivities, repository: RepositoryRef, author: Author, tmp_path: Path
) -> None:
    await author.push({"a": "1"})
    commit = status(repository, branch="main")
    proposed = await ask(git.propose_commit, commit)
    await author.push({"a": "2"})
    other = GitActivities(
        mirrors=GitMirrors(tmp_path / "mirrors-2"), store=ContentStore(tmp_path / "store-2")
    )
    assert not await ask(other.publish_commit, PublishRequest(commit=commit, proposed=proposed))


async def test_what_cannot_be_built_again_as_it_was_is_not_pushed(
    git: GitActivities, repository: RepositoryRef, author: Author
) -> None:
    head = await author.push({"a": "1"})
    forged = ProposedCommit(revision="b" * 40, base=head)
    publish = PublishRequest(commit=status(repository, branch="main"), proposed=forged)
    with pytest.raises(PermanentError) as refused:
        await ask(git.publish_commit, publish)
    assert refused.value.type == "DigestMismatch"
    look = HeadRequest(repository=repository, ref=MAIN)
    assert (await ask(git.read_head, look)).revision == head


async def test_a_protected_branch_is_a_final_error(
    git: GitActivities, repository: RepositoryRef, author: Author, server: GitServer
) -> None:
    await author.push({"a": "1"})
    server.protect(repository.slug.removeprefix("localhost/"), "main")
    commit = status(repository, branch="main")
    proposed = await ask(git.propose_commit, commit)
    with pytest.raises(PermanentError) as refused:
        await ask(git.publish_commit, PublishRequest(commit=commit, proposed=proposed))
    assert refused.value.type == "RepositoryRefused"


async def test_a_revert_restores_the_good_files_and_keeps_what_came_since(
    git: GitActivities, repository: RepositoryRef, author: Author, store: ContentStore
) -> None:
    good = await author.push({"a": "good", "b": "1"})
    bad = await author.push({"a": "bad"})
    await author.push({"b": "2"})
    commit = revert(repository, bad, good)
    proposed = await ask(git.propose_commit, commit)
    assert await ask(git.publish_commit, PublishRequest(commit=commit, proposed=proposed))
    snapshot = await ask(
        git.take_snapshot, SnapshotRequest(repository=repository, revision=proposed.revision)
    )
    assert dict(StoredTree(store, snapshot.tree)) == {"a": b"good", "b": b"2"}


async def test_a_revert_over_a_newer_change_of_the_same_file_is_a_conflict(
    git: GitActivities, repository: RepositoryRef, author: Author
) -> None:
    good = await author.push({"a": "good"})
    bad = await author.push({"a": "bad"})
    await author.push({"a": "newer"})
    with pytest.raises(PermanentError) as conflict:
        await ask(git.propose_commit, revert(repository, bad, good))
    assert conflict.value.type == "RevertConflict"


# -- order ----------------------------------------------------------------------------------------


async def test_what_a_revision_contains_is_older_and_nothing_else_is(
    git: GitActivities, repository: RepositoryRef, author: Author
) -> None:
    first = await author.push({"a": "1"})
    second = await author.push({"a": "2"})
    author.git("reset", "-q", "--hard", first)
    parted = await author.push({"a": "3"})

    async def older(revision: str, than: str) -> bool:
        order = OrderRequest(repository=repository, revision=revision, than=than)
        return (await ask(git.compare_revisions, order)).older

    assert await older(first, parted)
    assert not await older(parted, first)
    assert not await older(first, first)
    assert not await older(parted, "1" * 40)
    with pytest.raises(PermanentError, match="1111"):
        await older("1" * 40, first)
    # Forced out of the branch: the two histories have parted.
    assert not await older(parted, second)
