"""The person in the story who commits and pushes."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from shutil import copytree, ignore_patterns

from git import Actor, Repo

import pilothouse

EXAMPLE = "model-api"
PERSON = Actor("Dana Developer", "dana@example.org")
Edit = tuple[str, str, str]
"""Path, old text, new text."""


def example_folder() -> Path:
    """The example repository: in the package if installed, else in the source tree.

    Raises:
        FileNotFoundError: this installation was stripped of it.
    """
    package = Path(str(files(pilothouse)))
    for folder in (package / "examples" / EXAMPLE, package.parent / "examples" / EXAMPLE):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the example {EXAMPLE} is not part of this installation")


class Author:
    """Works in a clone of the example's repository."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._repo: Repo | None = None

    def clone(self) -> str:
        """Clone the repository; returns the head of main."""
        self._repo = Repo.clone_from(self._url, self._folder, branch="main")
        return self._repo.head.commit.hexsha

    def change(self, branch: str, message: str, *edits: Edit) -> str:
        """Commit on a branch made from main's newest state."""
        repo = self._open()
        repo.remote().fetch()
        repo.git.checkout("-B", branch, "origin/main")
        _edit(self._folder, edits)
        repo.index.add([name for name, _, _ in edits])
        return repo.index.commit(message, author=PERSON, committer=PERSON).hexsha

    def push(self, ref: str) -> None:
        """Push the branch that is checked out to a ref of the server."""
        self._open().git.push("origin", f"HEAD:{ref}")

    def status(self, run: str) -> str:
        """What a run left on the status branch: the text of its file."""
        repo = self._open()
        repo.remote().fetch()
        text: str = repo.git.show(f"origin/pilothouse/status:status/runs/{run}.json")
        return text

    def head(self) -> str:
        """Where the server's main is now."""
        repo = self._open()
        repo.remote().fetch()
        return repo.commit("origin/main").hexsha

    def _open(self) -> Repo:
        if self._repo is None:
            raise RuntimeError("clone first")
        return self._repo


def first_commit(folder: Path, *edits: Edit) -> Repo:
    """A repository with the example, edited, as its first commit on main, without any remote."""
    copytree(example_folder(), folder, ignore=ignore_patterns("__pycache__"))
    _edit(folder, edits)
    repo = Repo.init(folder, initial_branch="main")
    repo.git.add("--all")
    repo.index.commit("Start model-api", author=PERSON, committer=PERSON)
    return repo


def _edit(folder: Path, edits: Iterable[Edit]) -> None:
    for name, old, new in edits:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise ValueError(f"{name} does not contain {old!r}")
        path.write_text(text.replace(old, new), encoding="utf-8")
