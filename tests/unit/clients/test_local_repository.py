"""The repository that a folder stands in, read without a checkout."""

import subprocess
from pathlib import Path

import pytest

from pilothouse.clients.git import LocalRepository
from pilothouse.models.errors import PermanentError

PERSON = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *PERSON, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of two commits, with one file changed and not committed."""
    root = tmp_path / "shop"
    (root / "app" / ".hidden").mkdir(parents=True)
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", str(root))
    (root / "app" / "a.yaml").write_text("one", encoding="utf-8")
    (root / "app" / ".hidden" / "b.yaml").write_text("hidden", encoding="utf-8")
    (root / "app" / "link.yaml").symlink_to("/etc/hostname")
    (root / "README").write_text("read me", encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "one")
    (root / "app" / "a.yaml").write_text("two", encoding="utf-8")
    git(root, "commit", "--quiet", "--all", "--message", "two")
    (root / "app" / "a.yaml").write_text("three", encoding="utf-8")
    return root


def around(folder: Path) -> LocalRepository:
    repository = LocalRepository.around(folder)
    assert repository is not None
    return repository


def test_a_folder_in_no_repository_has_none(tmp_path: Path) -> None:
    assert LocalRepository.around(tmp_path) is None


def test_the_files_of_a_revision_are_those_below_the_folder(root: Path) -> None:
    repository = around(root / "app")
    head, before = (repository.resolve(name) for name in ("HEAD", "HEAD~1"))
    assert repository.head() == head == git(root, "rev-parse", "HEAD")
    assert dict(repository.files(head)) == {"a.yaml": b"two"}
    assert dict(repository.files(before)) == {"a.yaml": b"one"}
    assert dict(around(root).files(before)) == {"README": b"read me", "app/a.yaml": b"one"}


def test_a_linked_working_tree_has_its_own_head(root: Path, tmp_path: Path) -> None:
    git(root, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), "HEAD~1")
    repository = around(tmp_path / "linked" / "app")
    assert repository.head() == git(root, "rev-parse", "HEAD~1")
    assert dict(repository.files(repository.head())) == {"a.yaml": b"one"}


@pytest.mark.parametrize("name", ["nothing", "--all", "HEAD:README", "-h", ""])
def test_what_is_no_commit_is_refused(root: Path, name: str) -> None:
    with pytest.raises(PermanentError) as caught:
        around(root).resolve(name)
    assert caught.value.type == "RevisionNotFound"


@pytest.mark.parametrize(
    ("url", "slug"),
    [
        ("https://git.example.org/team/shop.git", "git.example.org/team/shop"),
        ("git@git.example.org:team/shop.git", "git.example.org/team/shop"),
        ("ssh://git@git.example.org/team/shop", "git.example.org/team/shop"),
        ("../elsewhere", ""),
        ("https://ann:secret@git.example.org/team/shop", ""),
    ],
)
def test_the_remote_says_which_repository_it_is(root: Path, url: str, slug: str) -> None:
    git(root, "remote", "add", "origin", url)
    assert around(root).slug() == slug


def test_without_a_remote_it_is_not_known_which_repository_it_is(root: Path) -> None:
    assert around(root).slug() == ""


def test_no_configuration_of_the_repository_is_run(root: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    git(root, "config", "core.fsmonitor", f"touch {trace}")
    git(root, "config", "diff.external", f"touch {trace}")
    repository = around(root)
    assert dict(repository.files(repository.resolve("main")))
    assert not trace.exists()


def test_a_damaged_repository_is_refused_in_a_sentence(root: Path) -> None:
    blob = git(root, "rev-parse", "HEAD:app/a.yaml")
    stored = root / ".git" / "objects" / blob[:2] / blob[2:]
    stored.chmod(0o644)
    stored.write_bytes(b"broken")
    repository = around(root)
    with pytest.raises(PermanentError) as caught:
        repository.files(repository.head())
    assert caught.value.type == "RepositoryRefused"
