"""Nothing from outside becomes an option, a command, a file or another repository."""

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git import Git
from pydantic import SecretStr

from pilothouse.clients.git import GitMirrors
from pilothouse.clients.git.border import checked_ref, checked_tree_path, checked_url
from pilothouse.clients.git.environment import Credentials
from pilothouse.clients.git.mirror import Mirror
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import RepositoryRef

WHEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SAFE_URL = "https://git.example.com/acme/shop.git"
SOME_REVISION = "a" * 40

CANARY = "CANARY"
"""Each hostile value would touch this file, if it were run."""

COMMANDS = (
    "ext::sh -c touch% CANARY",
    "ext::touch CANARY",
    "fd::17",
    "--upload-pack=touch CANARY",
    "--receive-pack=touch CANARY",
    "-utouch CANARY",
    "--exec=touch CANARY",
    "-oProxyCommand=touch CANARY",
    "--config=core.sshCommand=touch CANARY",
    "-ccore.fsmonitor=touch CANARY",
    "--output=CANARY",
    "--template=CANARY",
    "$(touch CANARY)",
    "`touch CANARY`",
    ";touch CANARY",
    "|touch CANARY",
    "&& touch CANARY",
    "\ntouch CANARY",
    "\0touch CANARY",
    "%0atouch%20CANARY",
    "{touch,CANARY}",
    "<CANARY",
    ">CANARY",
    "'; touch CANARY; '",
)
SCHEMES = ("", "https://", "ssh://", "http://localhost/", "https://git.example.com/", "ext::")
MORE_URLS = (
    "",
    "/etc/passwd",
    "./CANARY",
    "file:///etc",
    "file://localhost/etc/repo.git",
    "git://git.example.com/acme/shop.git",
    "ftp://git.example.com/acme/shop.git",
    "gopher://git.example.com/x",
    "HTTPS://git.example.com/acme/shop.git",
    "git@github.com:acme/shop.git",
    "github.com:acme/shop.git",
    "http://git.example.com/acme/shop.git",
    "http://127.0.0.1.example.com/acme/shop.git",
    "http://localhost.example.com/acme/shop.git",
    "http://2130706433/acme/shop.git",
    "http://0.0.0.0/acme/shop.git",
    "http://169.254.169.254/latest/meta-data",
    "https://user:password@git.example.com/acme/shop.git",
    "https://token@git.example.com/acme/shop.git",
    "ssh://git:password@git.example.com/acme/shop.git",
    "ssh://-oProxyCommand=x@git.example.com/acme/shop.git",
    "ssh://-oProxyCommand=touch/acme/shop.git",
    "ssh://git.example.com/-x",
    "https://-git.example.com/acme/shop.git",
    "https://git.example.com",
    "https://git.example.com/",
    "https:///acme/shop.git",
    "https://git.example.com/../../etc",
    "https://git.example.com/acme/./shop.git",
    "https://git.example.com/acme/shop.git?service=x",
    "https://git.example.com/acme/shop.git#fragment",
    "https://git.example.com/acme/shop.git\n",
    "https://git.example.com/acme/shop.git\r\nX: y",
    "https://git.example.com/acme/sh op.git",
    "https://git.example.com:0/acme/shop.git",
    "https://git.example.com:99999/acme/shop.git",
    "https://git.example.com:port/acme/shop.git",
    "https://git.exämple.com/acme/shop.git",
    "https://git.example.com/acme/shöp.git",
    "https://git.example.com\\@evil.example/acme/shop.git",
    "https://git.example.com%2f@evil.example/shop.git",
    "https://[::1/acme/shop.git",
    "https://[fe80::1%25eth0]/acme/shop.git",
    "https://git..example.com/acme/shop.git",
    "https://git.example.com/" + "a" * 2000,
)
HOSTILE_URLS = (*(s + c for s, c in itertools.product(SCHEMES, COMMANDS)), *MORE_URLS)

REF_PREFIXES = ("", "refs/heads/", "refs/pull/", "refs/tags/v1:")
MORE_REFS = (
    "",
    "main",
    "HEAD",
    "refs/heads",
    "refs/heads/",
    "refs/heads/-x",
    "refs/heads/x/-y",
    "refs/heads/.x",
    "refs/heads/x/.y",
    "refs/heads/x..y",
    "refs/heads/x.lock",
    "refs/heads/x.lock/y",
    "refs/heads/x/",
    "refs/heads/x//y",
    "refs/heads/x.",
    "refs/heads/x\n",
    "refs/heads/x y",
    "refs/heads/x~1",
    "refs/heads/x^{}",
    "refs/heads/x:y",
    "refs/heads/*",
    "refs/heads/x?",
    "refs/heads/[x]",
    "refs/heads/x\\y",
    "refs/heads/x@{1}",
    "refs/heads/ü",
    "refs/kept/" + SOME_REVISION,
    "refs/remotes/origin/main",
    "refs/replace/" + SOME_REVISION,
    "refs/../config",
    "+refs/heads/main",
    ":refs/heads/main",
    "^refs/heads/main",
    "../../etc/passwd",
    "refs/heads/" + "x" * 300,
    SOME_REVISION,
)
HOSTILE_REFS = (*(p + c for p, c in itertools.product(REF_PREFIXES, COMMANDS)), *MORE_REFS)

HOSTILE_REVISIONS = (
    *COMMANDS,
    "HEAD",
    "main",
    "",
    "a" * 39,
    "a" * 41,
    "A" * 40,
    "a" * 40 + "\n",
    "-" + "a" * 39,
    "a" * 40 + "^{commit}",
    "a" * 40 + "..",
    "a" * 64,
    "@",
    ":/x",
    "HEAD:CANARY",
)
HOSTILE_PATHS = (
    "",
    "/",
    "/etc/passwd",
    "../CANARY",
    "a/../../CANARY",
    "a//b",
    "a/",
    "./a",
    "a/.",
    "..",
    ".git/hooks/post-checkout",
    ".GIT/config",
    "a/.git/config",
    ".git /config",
    ".git./config",
    "git~1/config",
    ".g\u200cit/config",
    ".gi\ufefft/config",
    "a\0b",
    "a\nD important",
    "a\rb",
    "a\tb",
    "\x1b[2J",
    "a\\b",
    "..\\CANARY",
    "a\u202etxt.exe",
    "a\u2028b",
    "a" * 256,
    "b/" * 600 + "c",
    "a\ud800b",
)


@pytest.fixture
def no_git(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every git process that somebody tries to start, none of which does."""
    started: list[object] = []

    def execute(self: Git, command: object, **options: object) -> None:
        started.append(command)
        raise AssertionError(f"git was started: {command}")

    monkeypatch.setattr(Git, "execute", execute)
    return started


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which a canary would appear."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_more_than_three_hundred_hostile_values() -> None:
    values = [*HOSTILE_URLS, *HOSTILE_REFS, *HOSTILE_REVISIONS, *HOSTILE_PATHS]
    assert len(values) > 300


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_hostile_url_is_refused_before_git_starts(
    url: str, here: Path, no_git: list[object]
) -> None:
    mirrors = GitMirrors(here / "mirrors")
    repository = RepositoryRef.model_construct(url=url, default_branch="main")
    for attempt in (
        lambda: mirrors.head(repository, "refs/heads/main"),
        lambda: mirrors.commit(repository, SOME_REVISION),
        lambda: list(mirrors.files(repository, SOME_REVISION)),
        lambda: mirrors.build_commit(repository, base=None, changes={}, message="m", when=WHEN),
        lambda: mirrors.push(
            repository, ref="refs/heads/main", revision=SOME_REVISION, expected=None
        ),
    ):
        with pytest.raises(PermanentError) as refusal:
            attempt()
        assert refusal.value.type == "RepositoryRefused"
        assert "password" not in str(refusal.value)
    assert_untouched(here, no_git)


@pytest.mark.parametrize("ref", HOSTILE_REFS)
def test_a_hostile_ref_is_refused_before_git_starts(
    ref: str, here: Path, no_git: list[object]
) -> None:
    mirrors, repository = GitMirrors(here / "mirrors"), RepositoryRef(url=SAFE_URL)
    with pytest.raises(PermanentError):
        mirrors.head(repository, ref)
    with pytest.raises(PermanentError):
        mirrors.push(repository, ref=ref, revision=SOME_REVISION, expected=None)
    assert_untouched(here, no_git)


@pytest.mark.parametrize("revision", HOSTILE_REVISIONS)
def test_a_hostile_revision_is_refused_before_git_starts(
    revision: str, here: Path, no_git: list[object]
) -> None:
    mirrors, repository = GitMirrors(here / "mirrors"), RepositoryRef(url=SAFE_URL)
    good = SOME_REVISION
    for attempt in (
        lambda: mirrors.commit(repository, revision),
        lambda: list(mirrors.files(repository, revision)),
        lambda: mirrors.is_ancestor(repository, good, revision),
        lambda: mirrors.is_ancestor(repository, revision, good),
        lambda: mirrors.build_revert(
            repository, head=good, bad=revision, good=good, message="m", when=WHEN
        ),
        lambda: mirrors.push(repository, ref="refs/heads/main", revision=revision, expected=None),
    ):
        with pytest.raises(PermanentError):
            attempt()
    assert_untouched(here, no_git)


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_hostile_path_is_never_written(path: str, here: Path, no_git: list[object]) -> None:
    mirrors, repository = GitMirrors(here / "mirrors"), RepositoryRef(url=SAFE_URL)
    for data in (b"x", None):
        with pytest.raises(PermanentError) as refusal:
            mirrors.build_commit(
                repository, base=None, changes={path: data}, message="m", when=WHEN
            )
        assert refusal.value.type == "InvalidRequest"
    assert_untouched(here, no_git)


def assert_untouched(here: Path, started: list[object]) -> None:
    assert started == []
    assert list(here.rglob("*")) == [here / "mirrors"]


# The border above could have a hole. These go behind it, to Git itself with the same values.
@pytest.mark.parametrize(
    "url",
    [command for command in COMMANDS if "\0" not in command]  # which no argument can hold
    + ["file:///etc", "/etc", "ssh://-oProxyCommand=x/y"],
)
def test_even_past_the_border_git_runs_nothing_for_a_hostile_url(url: str, here: Path) -> None:
    mirror = Mirror(here, url, Credentials({}), timeout=5)
    mirror.prepare()
    for command in ("ls-remote", "fetch"):
        finished = mirror.exchange(command, "--end-of-options", url)
        assert finished.code != 0
    assert not list(here.rglob(f"*{CANARY}*"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_CONFIG_PARAMETERS", "'core.hooksPath=HERE/hooks'"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_DIR", "/nowhere"),
        ("GIT_OBJECT_DIRECTORY", "/nowhere"),
        ("GIT_TRACE", "HERE/CANARY"),
        ("GIT_TRACE2", "HERE/CANARY"),
    ],
)
def test_our_own_environment_does_not_change_what_git_does(
    name: str, value: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_script(here / "hooks" / "reference-transaction", here)
    monkeypatch.setenv(name, value.replace("HERE", str(here)))
    mirrors, repository = GitMirrors(here / "mirrors"), RepositoryRef(url=SAFE_URL)
    made = mirrors.build_commit(repository, base=None, changes={"a": b"1"}, message="m", when=WHEN)
    assert [file.data for file in mirrors.files(repository, made)] == [b"1"]
    assert not (here / CANARY).exists()


@pytest.mark.parametrize("name", ["GIT_SSH_COMMAND", "GIT_SSH"])
def test_nobody_but_us_chooses_the_program_that_speaks_ssh(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(write_script(here / "ssh", here)))
    mirrors = GitMirrors(here / "mirrors", timeout=5)
    with pytest.raises((PermanentError, TemporaryError)):
        mirrors.head(RepositoryRef(url="ssh://git@127.0.0.1:1/acme/shop.git"), "refs/heads/main")
    assert not (here / CANARY).exists()


def write_script(file: Path, here: Path) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\ntouch {here / CANARY}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def test_a_mirror_whose_configuration_was_changed_is_not_used(here: Path) -> None:
    mirrors, repository = GitMirrors(here / "mirrors"), RepositoryRef(url=SAFE_URL)
    changes = {"a": b"1"}
    made = mirrors.build_commit(repository, base=None, changes=changes, message="m", when=WHEN)
    (config,) = here.glob("mirrors/*.git/config")
    clean = config.read_text()
    config.write_text(f"{clean}[core]\n\tfsmonitor = touch {here / CANARY}\n")
    again = mirrors.build_commit(repository, base=None, changes=changes, message="m", when=WHEN)
    assert again == made
    assert config.read_text() == clean
    assert not (here / CANARY).exists()


@pytest.mark.parametrize(
    "url",
    [
        SAFE_URL,
        "https://git.example.com:8443/a/b",
        "ssh://git@git.example.com/acme/shop.git",
        "ssh://git.example.com:2222/~acme/shop.git",
        "http://localhost:8080/acme/shop.git",
        "http://127.0.0.1:8080/shop.git",
        "http://[::1]:8080/shop.git",
        "https://xn--exmple-cua.com/acme/sh-op_1.git",
    ],
)
def test_an_ordinary_url_passes(url: str) -> None:
    assert checked_url(RepositoryRef(url=url)) == url


@pytest.mark.parametrize(
    "ref",
    ["refs/heads/main", "refs/heads/feature/x-1.2+b", "refs/pull/7/head", "refs/tags/v1.0.0"],
)
def test_an_ordinary_ref_passes(ref: str) -> None:
    assert checked_ref(ref) == ref


@pytest.mark.parametrize(
    "raw", [b"../x", b"/x", b"a//b", b".git/config", b"a\nb", b"\xff.yaml", b"", b"a/.GIT/x"]
)
def test_a_commit_with_an_unsafe_file_name_is_refused(raw: bytes) -> None:
    with pytest.raises(PermanentError) as refusal:
        checked_tree_path(raw)
    assert refusal.value.type == "RepositoryRefused"


@pytest.mark.parametrize("raw", ["über.yaml", "a b/c.yaml", ".github/x", ".gitignore", "a\\b"])
def test_an_unusual_file_name_can_be_read(raw: str) -> None:
    assert checked_tree_path(raw.encode()) == raw


@pytest.mark.parametrize("value", ["", "Basic a\r\nHost: evil", "Basic ü", "a\0b"])
def test_a_credential_that_would_add_a_header_is_refused(value: str) -> None:
    with pytest.raises(PermanentError):
        Credentials({"git.example.com": SecretStr(value)})


def test_a_credential_goes_to_its_own_host_only() -> None:
    credentials = Credentials({
        "git.example.com": SecretStr("Basic one"),
        "git.example.com:8443": SecretStr("Basic two"),
    })
    expected = {
        "https://git.example.com/a": "Basic one",
        "https://git.example.com:8443/a": "Basic two",
        "https://git.example.com.evil.example/a": None,
        "https://evil.example/git.example.com": None,
    }
    for url, value in expected.items():
        secret = credentials.header(url)
        assert (secret.get_secret_value() if secret else None) == value
