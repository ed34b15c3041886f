"""Commits made without a checkout, in a mirror that never meets its server."""

import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from pilothouse.clients.git import GitMirrors, TreeFile
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import RepositoryRef

WHEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REPOSITORY = RepositoryRef(url="https://git.example.com/acme/shop.git")


class Workbench:
    """A mirror and short words for what the tests do with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mirrors = GitMirrors(directory)

    def commit(
        self, base: str | None, changes: Mapping[str, bytes | None], message: str = "change"
    ) -> str:
        return self.mirrors.build_commit(
            REPOSITORY, base=base, changes=changes, message=message, when=WHEN
        )

    def revert(self, *, head: str, bad: str, good: str) -> str:
        return self.mirrors.build_revert(
            REPOSITORY, head=head, bad=bad, good=good, message="revert", when=WHEN
        )

    def tree(self, revision: str) -> dict[str, bytes | None]:
        return {file.path: file.data for file in self.mirrors.files(REPOSITORY, revision)}

    def files(self, revision: str) -> dict[str, TreeFile]:
        return {file.path: file for file in self.mirrors.files(REPOSITORY, revision)}

    @property
    def path(self) -> Path:
        (path,) = self.directory.glob("*.git")
        return path

    def git(self, *arguments: str, data: bytes = b"") -> str:
        """Plain git on the mirror, as an administrator would use it."""
        environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull}
        people = {f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")}
        mail = {f"GIT_{who}_EMAIL": "ada@example.com" for who in ("AUTHOR", "COMMITTER")}
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", *arguments],
            env=environment | people | mail,
            input=data,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path / "mirrors")


def test_a_root_commit_holds_exactly_what_was_given(bench: Workbench) -> None:
    made = bench.commit(None, {"a.yaml": b"a: 1\n", "dir/\xfc b.yaml": b"\x00\xff", "empty": b""})
    assert bench.tree(made) == {"a.yaml": b"a: 1\n", "dir/\xfc b.yaml": b"\x00\xff", "empty": b""}
    assert bench.git("fsck", "--strict", "--no-dangling") == ""


def test_the_same_inputs_give_the_same_commit_id_on_another_machine(tmp_path: Path) -> None:
    ids = set()
    for name in ("one", "two"):
        bench = Workbench(tmp_path / name)
        root = bench.commit(None, {"a": b"1"})
        ids.add(bench.commit(root, {"b": b"2", "a": None}, "second"))
    assert len(ids) == 1
    # Pinned: were it to change, retries that straddle an upgrade would push twice.
    assert ids == {"3f0b398a22d34da95bd488e628e1b5288bb52402"}


def test_message_and_moment_and_content_each_change_the_id(bench: Workbench) -> None:
    def build(message: str = "m", when: datetime = WHEN, data: bytes = b"1") -> str:
        return bench.mirrors.build_commit(
            REPOSITORY, base=None, changes={"a": data}, message=message, when=when
        )

    later = WHEN + timedelta(seconds=1)
    assert len({build(), build(message="n"), build(when=later), build(data=b"2")}) == 4
    assert build(when=WHEN.astimezone(timezone(timedelta(hours=5)))) == build()


def test_a_commit_says_that_it_is_ours(bench: Workbench) -> None:
    made = bench.commit(None, {"a": b"1"}, "Record status\n\nRun-Id: pipeline/x\n")
    commit = bench.mirrors.commit(REPOSITORY, made)
    assert commit.author_name == "Pilothouse"
    assert commit.author_email == commit.committer_email == "pilothouse@localhost"
    assert commit.committed_at == "2026-03-01T12:00:00+00:00"
    assert commit.subject == "Record status"


def test_a_message_cannot_smuggle_commands_into_the_commit(bench: Workbench) -> None:
    message = "x\nM 100644 inline evil\ndata 4\nevil\ncommit refs/heads/main\ndone\n"
    made = bench.commit(None, {"a": b"data 1\nM 100644 inline evil\n"}, message)
    assert list(bench.tree(made)) == ["a"]
    assert bench.git("log", "-1", "--format=%B", made) == message.strip()


@pytest.mark.parametrize(
    "name", ['"', "a b", '"quoted"', "-x", "--all", ":(top)x", "*", "ü/ß", "'"]
)
def test_an_odd_file_name_is_written_as_it_is(bench: Workbench, name: str) -> None:
    made = bench.commit(None, {name: b"1", "other": b"2"})
    assert bench.tree(made) == {name: b"1", "other": b"2"}
    assert list(bench.tree(bench.commit(made, {name: None}))) == ["other"]


def test_a_change_keeps_everything_else_and_the_mode(bench: Workbench) -> None:
    root = bench.commit(None, {"run.sh": b"1", "dir/a": b"2", "dir/b": b"3"})
    bench.git("read-tree", root)
    blob = bench.git("rev-parse", f"{root}:run.sh")
    bench.git("update-index", "--cacheinfo", f"100755,{blob},run.sh")
    executable = bench.git("commit-tree", "-p", root, "-m", "x", bench.git("write-tree"))
    bench.git("update-ref", f"refs/kept/{executable}", executable)
    made = bench.commit(executable, {"run.sh": b"new", "dir/a": None, "dir/none": None})
    assert bench.tree(made) == {"run.sh": b"new", "dir/b": b"3"}
    assert bench.files(made)["run.sh"].mode == "100755"


def test_a_commit_that_changes_nothing_is_made_unless_told_not_to(bench: Workbench) -> None:
    root = bench.commit(None, {"a": b"1"})
    same: dict[str, bytes | None] = {"a": b"1", "missing": None}
    assert bench.commit(root, same) != root

    def build(changes: dict[str, bytes | None]) -> str:
        return bench.mirrors.build_commit(
            REPOSITORY, base=root, changes=changes, message="m", when=WHEN, allow_empty=False
        )

    assert build(same) == root
    assert build({"a": b"2"}) != root
    assert build({"a": None}) != root


@pytest.mark.parametrize("changes", [{"a": b"x"}, {"a/b/c": b"x"}, {"n": b"1", "n/m": b"2"}])
def test_a_file_never_replaces_a_folder_or_a_folder_a_file(
    bench: Workbench, changes: dict[str, bytes | None]
) -> None:
    root = bench.commit(None, {"a/b": b"1"})
    with pytest.raises(PermanentError, match="file and folder at once") as refusal:
        bench.commit(root, changes)
    assert refusal.value.type == "InvalidRequest"


def test_a_folder_that_is_emptied_may_become_a_file(bench: Workbench) -> None:
    root = bench.commit(None, {"a/b": b"1", "c": b"2"})
    made = bench.commit(root, {"a/b": None, "a": b"file", "c": None, "c/d": b"deep"})
    assert bench.tree(made) == {"a": b"file", "c/d": b"deep"}


@pytest.mark.parametrize("when", [datetime(2026, 3, 1, 12, 0), datetime(1960, 1, 1, tzinfo=UTC)])  # noqa: DTZ001 - what is refused
def test_a_moment_without_zone_or_before_the_epoch_is_refused(
    bench: Workbench, when: datetime
) -> None:
    with pytest.raises(PermanentError):
        bench.mirrors.build_commit(REPOSITORY, base=None, changes={}, message="m", when=when)


def test_symlinks_submodules_and_large_files_come_without_bytes(bench: Workbench) -> None:
    root = bench.commit(None, {"small": b"1", "large": b"x" * 1000})
    link = bench.git("hash-object", "-w", "--stdin", data=b"../../etc/passwd")
    bench.git("read-tree", root)
    bench.git("update-index", "--add", "--cacheinfo", f"120000,{link},link")
    bench.git("update-index", "--add", "--cacheinfo", f"160000,{root},module")
    made = bench.git("commit-tree", "-p", root, "-m", "x", bench.git("write-tree"))
    bench.git("update-ref", f"refs/kept/{made}", made)
    files = {
        file.path: (file.mode, file.size, file.data)
        for file in bench.mirrors.files(REPOSITORY, made, max_file_bytes=999)
    }
    assert files == {
        "large": ("100644", 1000, None),
        "link": ("120000", 16, None),
        "module": ("160000", 0, None),
        "small": ("100644", 1, b"1"),
    }


def test_writing_to_a_symlink_makes_it_a_file(bench: Workbench) -> None:
    root = bench.commit(None, {"a": b"1"})
    link = bench.git("hash-object", "-w", "--stdin", data=b"/etc/passwd")
    bench.git("read-tree", root)
    bench.git("update-index", "--add", "--cacheinfo", f"120000,{link},link")
    linked = bench.git("commit-tree", "-p", root, "-m", "x", bench.git("write-tree"))
    bench.git("update-ref", f"refs/kept/{linked}", linked)
    made = bench.commit(linked, {"link": b"plain"})
    assert bench.files(made)["link"].mode == "100644"
    with pytest.raises(PermanentError, match="file and folder"):
        bench.commit(linked, {"link/below": b"x"})


def test_a_revision_that_holds_too_much_is_refused_before_it_is_read(bench: Workbench) -> None:
    made = bench.commit(None, {"a": b"x" * 600, "b": b"y" * 600})
    with pytest.raises(PermanentError) as refusal:
        list(bench.mirrors.files(REPOSITORY, made, max_total_bytes=1000))
    assert refusal.value.type == "RepositoryRefused"


def test_a_tree_that_multiplies_itself_is_left_and_not_expanded(bench: Workbench) -> None:
    bench.commit(None, {"a": b"1"})
    blob = bench.git("hash-object", "-w", "--stdin", data=b"x")
    tree = bench.git(
        "mktree", data="".join(f"100644 blob {blob}\tf{i}\n" for i in range(16)).encode()
    )
    for _ in range(8):  # 16 ** 9 files, in nine objects
        lines = "".join(f"040000 tree {tree}\td{i}\n" for i in range(16))
        tree = bench.git("mktree", data=lines.encode())
    bomb = bench.git("commit-tree", "-m", "bomb", tree)
    bench.git("update-ref", f"refs/kept/{bomb}", bomb)
    with pytest.raises(PermanentError, match="20000 files"):
        list(bench.mirrors.files(REPOSITORY, bomb))


def test_files_left_half_read_leave_no_process(bench: Workbench) -> None:
    made = bench.commit(None, {f"f{i}": bytes(200_000) for i in range(20)})
    before = threading.active_count()
    files = bench.mirrors.files(REPOSITORY, made)
    next(files)
    files.close()  # type: ignore[attr-defined]  # a generator is what it is
    assert threading.active_count() == before


def test_ancestry_is_what_history_says(bench: Workbench) -> None:
    root = bench.commit(None, {"a": b"1"})
    left, right = bench.commit(root, {"a": b"2"}), bench.commit(root, {"a": b"3"})
    is_ancestor = bench.mirrors.is_ancestor
    assert is_ancestor(REPOSITORY, root, left)
    assert is_ancestor(REPOSITORY, root, root)
    assert not is_ancestor(REPOSITORY, left, root)
    assert not is_ancestor(REPOSITORY, left, right)


def test_a_revert_puts_back_what_the_bad_revision_changed(bench: Workbench) -> None:
    good = bench.commit(None, {"a": b"1", "gone": b"2", "dir/x": b"3"})
    bad = bench.commit(good, {"a": b"bad", "gone": None, "new": b"bad", "dir/x": b"bad"})
    made = bench.revert(head=bad, bad=bad, good=good)
    assert bench.tree(made) == bench.tree(good)
    assert bench.mirrors.is_ancestor(REPOSITORY, bad, made)
    assert made == bench.revert(head=bad, bad=bad, good=good)


def test_a_revert_keeps_later_work_on_other_files_and_the_status(bench: Workbench) -> None:
    good = bench.commit(None, {"a": b"1", "status/run.json": b"old"})
    bad = bench.commit(good, {"a": b"bad", "status/run.json": b"newer"})
    head = bench.commit(bad, {"b": b"later", "status/run.json": b"newest"})
    made = bench.revert(head=head, bad=bad, good=good)
    assert bench.tree(made) == {"a": b"1", "b": b"later", "status/run.json": b"newest"}


def test_a_revert_over_later_work_on_the_same_file_is_a_conflict(bench: Workbench) -> None:
    good = bench.commit(None, {"a": b"1", "b": b"1", "c": b"1"})
    bad = bench.commit(good, {"a": b"bad", "b": b"bad", "c": b"bad"})
    head = bench.commit(bad, {"a": b"fixed", "b": None})
    with pytest.raises(PermanentError, match=r"^a, b changed again") as refusal:
        bench.revert(head=head, bad=bad, good=good)
    assert refusal.value.type == "RevertConflict"


def test_what_somebody_has_put_back_already_is_no_conflict(bench: Workbench) -> None:
    good = bench.commit(None, {"a": b"1", "b": b"1"})
    bad = bench.commit(good, {"a": b"bad", "b": b"bad"})
    head = bench.commit(bad, {"a": b"1"})
    assert bench.tree(bench.revert(head=head, bad=bad, good=good)) == {"a": b"1", "b": b"1"}


def test_a_revert_restores_a_file_where_the_bad_revision_made_a_folder(bench: Workbench) -> None:
    good = bench.commit(None, {"a": b"file"})
    bad = bench.commit(good, {"a": None, "a/b": b"bad"})
    assert bench.tree(bench.revert(head=bad, bad=bad, good=good)) == {"a": b"file"}
    head = bench.commit(bad, {"a/c": b"later"})
    with pytest.raises(PermanentError, match="file and folder"):
        bench.revert(head=head, bad=bad, good=good)


def test_authors_and_co_authors_are_read_as_plain_text(bench: Workbench) -> None:
    root = bench.commit(None, {"a": b"1"})
    tree = bench.git("rev-parse", f"{root}^{{tree}}")
    raw = (
        f"tree {tree}\nauthor Mallory \x1b[31m <m@example.com> 1767225600 +0530\n"
        f"committer Forge <forge@example.com> 1767225600 -0800\ngpgsig -----BEGIN\n author fake\n\n"
        "Subject\twith \x1b[2Jbells of https://me:hunter2@example.com\n\nbody\n\n"
        "Co-authored-by: Bob <bob@example.com>\n"
        "co-authored-by: Bob <bob@example.com>\nCO-AUTHORED-BY: Eve <eve@example.com>\n"
    )
    made = bench.git("hash-object", "-t", "commit", "-w", "--stdin", data=raw.encode())
    bench.git("update-ref", f"refs/kept/{made}", made)
    commit = bench.mirrors.commit(REPOSITORY, made)
    assert commit.author_name == "Mallory  [31m"
    assert commit.author_email == "m@example.com"
    assert commit.committer_email == "forge@example.com"
    assert commit.co_authors == ("bob@example.com", "eve@example.com")
    assert commit.committed_at == "2025-12-31T16:00:00-08:00"
    assert commit.subject == "Subject with  [2Jbells of https://me:<REDACTED:url>@example.com"


def test_a_tag_or_a_file_is_no_revision(bench: Workbench) -> None:
    root = bench.commit(None, {"a": b"1"})
    bench.git("tag", "-a", "v1", "-m", "x", root)
    for oid in (bench.git("rev-parse", "refs/tags/v1"), bench.git("rev-parse", f"{root}:a")):
        with pytest.raises((PermanentError, TemporaryError)):
            bench.mirrors.commit(REPOSITORY, oid)


def test_two_repositories_have_two_mirrors_and_each_knows_its_url(bench: Workbench) -> None:
    bench.commit(None, {"a": b"1"})
    other = RepositoryRef(url="https://git.example.com/acme/other.git")
    bench.mirrors.build_commit(other, base=None, changes={}, message="m", when=WHEN)
    urls = {file.read_text() for file in bench.directory.glob("*.git/pilothouse-url")}
    assert urls == {REPOSITORY.url, other.url}


@pytest.mark.parametrize("damage", ["HEAD", "config", "objects", "refs", "pilothouse-url"])
def test_a_half_made_mirror_is_made_again(bench: Workbench, damage: str) -> None:
    made = bench.commit(None, {"a": b"1"})
    victim = bench.path / damage
    if victim.is_dir():
        shutil.rmtree(victim)
    else:
        victim.unlink()
    assert bench.commit(None, {"a": b"1"}) == made
    assert bench.tree(made) == {"a": b"1"}
    assert [path.name for path in bench.directory.iterdir() if ".gone-" in path.name] == []


def test_several_threads_may_build_in_one_mirror(bench: Workbench) -> None:
    root = bench.commit(None, {"a": b"1"})
    made: list[str] = []

    def build(number: int) -> None:
        made.append(bench.commit(root, {f"f{number}": b"x"}, f"change {number}"))

    threads = [threading.Thread(target=build, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(made)) == 8
    assert all(bench.mirrors.is_ancestor(REPOSITORY, root, each) for each in made)
