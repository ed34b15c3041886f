"""The Git client and the Git server, with the real git between them."""

import asyncio
import hashlib
import hmac
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from pydantic import JsonValue, SecretStr

from pilothouse.clients.git import GitMirrors
from pilothouse.local.git_server import GitServer
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import RepositoryRef

WHEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = SecretStr("a webhook secret of the tests")
MAIN = "refs/heads/main"
ZERO = "0" * 40


@dataclass
class Delivery:
    """One request that a receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> dict[str, JsonValue]:
        payload: dict[str, JsonValue] = json.loads(self.body)
        return payload


@dataclass
class Receiver:
    """A webhook receiver that answers what a test wants."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """The next answers; then 202."""
    got: list[Delivery] = field(default_factory=list)

    async def wait_for(self, count: int) -> list[Delivery]:
        await eventually(lambda: len(self.got) >= count)
        return self.got


async def eventually(true: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


@contextmanager
def http_server(
    handle: Callable[[http.server.BaseHTTPRequestHandler], None],
) -> Generator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            handle(self)

        do_POST = do_GET

        def log_message(self, *arguments: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver() -> Generator[Receiver]:
    receiver = Receiver()

    def take(request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        receiver.got.append(Delivery(dict(request.headers.items()), body))
        request.send_response(receiver.statuses.pop(0) if receiver.statuses else 202)
        request.end_headers()

    with http_server(take) as url:
        receiver.url = f"{url}/webhooks/github"
        yield receiver


@pytest.fixture
async def server(tmp_path: Path, receiver: Receiver) -> AsyncGenerator[GitServer]:
    async with GitServer(
        tmp_path / "served", webhook_url=receiver.url, webhook_secret=SECRET
    ) as server:
        server.create("acme/shop")
        yield server


class Forge:
    """A mirror of `acme/shop`, off the event loop as activities use it."""

    def __init__(self, server: GitServer, directory: Path) -> None:
        self.repository = RepositoryRef(url=server.url("acme/shop"))
        self.mirrors = GitMirrors(directory, timeout=20)

    def build(self, base: str | None, text: str) -> str:
        return self.mirrors.build_commit(
            self.repository, base=base, changes={"a.yaml": text.encode()}, message=text, when=WHEN
        )

    async def push(self, revision: str, expected: str | None, ref: str = MAIN) -> None:
        await asyncio.to_thread(
            self.mirrors.push, self.repository, ref=ref, revision=revision, expected=expected
        )

    async def head(self, ref: str = MAIN) -> str | None:
        return await asyncio.to_thread(self.mirrors.head, self.repository, ref)

    async def seed(self) -> str:
        revision = self.build(None, "first")
        await self.push(revision, None)
        return revision


@pytest.fixture
def forge(server: GitServer, tmp_path: Path) -> Forge:
    return Forge(server, tmp_path / "mirrors")


def git_environment() -> dict[str, str]:
    person = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
    }
    return {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        **person,
    }


async def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A person's git."""
    return await asyncio.to_thread(
        subprocess.run,
        ["git", *arguments],
        cwd=folder,
        env=git_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


async def person_commits(server: GitServer, folder: Path, name: str, text: str) -> Path:
    """A clone in which a person has made a commit."""
    clone = folder / name
    cloned = await git(folder, "clone", "--quiet", server.url("acme/shop"), str(clone))
    assert cloned.returncode == 0, cloned.stderr
    (clone / "a.yaml").write_text(text)
    for arguments in (["checkout", "-q", "-B", "main"], ["add", "."], ["commit", "-q", "-m", text]):
        done = await git(clone, *arguments)
        assert done.returncode == 0, done.stderr
    return clone


async def test_a_person_can_clone_push_and_fetch_a_commit_by_its_id(
    server: GitServer, tmp_path: Path
) -> None:
    clone = await person_commits(server, tmp_path, "ada", "one")
    pushed = await git(clone, "push", "origin", "main")
    assert pushed.returncode == 0, pushed.stderr
    revision = (await git(clone, "rev-parse", "HEAD")).stdout.strip()
    other = tmp_path / "other"
    assert (await git(tmp_path, "init", "-q", str(other))).returncode == 0
    for protocol in ("0", "1", "2"):
        fetched = await git(
            other, "-c", f"protocol.version={protocol}", "fetch", server.url("acme/shop"), revision
        )
        assert fetched.returncode == 0, fetched.stderr
    shown = await git(other, "show", f"{revision}:a.yaml")
    assert shown.stdout == "one"


async def test_a_push_larger_than_any_buffer_arrives_whole(
    server: GitServer, tmp_path: Path
) -> None:
    clone = await person_commits(server, tmp_path, "ada", "one")
    (clone / "big").write_bytes(os.urandom(6 * 1024 * 1024))
    await git(clone, "add", ".")
    await git(clone, "commit", "-q", "-m", "big")
    pushed = await git(clone, "push", "origin", "main")
    assert pushed.returncode == 0, pushed.stderr
    again = await git(tmp_path, "clone", "-q", server.url("acme/shop"), "again")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again" / "big").read_bytes() == (clone / "big").read_bytes()


async def test_what_we_build_and_push_another_mirror_reads(
    server: GitServer, forge: Forge, tmp_path: Path
) -> None:
    assert await forge.head() is None
    first = await forge.seed()
    second = forge.build(first, "second")
    await forge.push(second, first)
    assert await forge.head() == second
    other = Forge(server, tmp_path / "elsewhere")

    def read() -> None:
        assert other.mirrors.commit(other.repository, second).subject == "second"
        files = list(other.mirrors.files(other.repository, second))
        assert [(file.path, file.data) for file in files] == [("a.yaml", b"second")]
        assert other.mirrors.is_ancestor(other.repository, first, second)

    await asyncio.to_thread(read)
    assert other.build(first, "second") == second


async def test_a_commit_that_the_server_does_not_have_is_not_found(forge: Forge) -> None:
    await forge.seed()
    with pytest.raises(PermanentError) as refusal:
        await asyncio.to_thread(forge.mirrors.commit, forge.repository, "1" * 40)
    assert refusal.value.type == "RevisionNotFound"


async def test_a_server_that_gives_out_no_ids_is_asked_for_all_refs(
    server: GitServer, forge: Forge, tmp_path: Path
) -> None:
    first = await forge.seed()
    covered = forge.build(first, "covered")
    await forge.push(covered, None, "refs/pull/7/head")
    await forge.push(forge.build(covered, "tip"), covered, "refs/pull/7/head")
    config = server.create("acme/shop") / "config"
    config.write_text(
        config.read_text().replace("allowAnySHA1InWant = true", "allowAnySHA1InWant = false")
    )
    other = GitMirrors(tmp_path / "elsewhere", timeout=20)
    # The newest protocol gives out any id whatever the configuration: so an older one is spoken.
    with v0_only(server) as url:
        repository = RepositoryRef(url=url)
        commit = await asyncio.to_thread(other.commit, repository, covered)
        with pytest.raises(PermanentError) as refusal:
            await asyncio.to_thread(other.commit, repository, "1" * 40)
    assert commit.subject == "covered"
    assert refusal.value.type == "RevisionNotFound"


@contextmanager
def v0_only(server: GitServer) -> Generator[str]:
    """A proxy that drops the protocol's version, as old servers ignore it."""

    def forward(request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        kept = ("Content-Type", "Content-Encoding", "Accept")
        headers = {key: request.headers[key] for key in kept if key in request.headers}
        answer = httpx2.request(
            request.command, server.base_url + request.path, content=body, headers=headers
        )
        request.send_response(answer.status_code)
        request.send_header("Content-Type", answer.headers["Content-Type"])
        request.end_headers()
        request.wfile.write(answer.content)

    with http_server(forward) as url:
        yield f"{url}/acme/shop.git"


async def test_pushing_the_same_commit_again_is_a_success(forge: Forge) -> None:
    first = await forge.seed()
    await forge.push(first, None)
    second = forge.build(first, "second")
    await forge.push(second, first)
    await forge.push(second, first)
    assert await forge.head() == second


async def test_of_two_racing_pushes_one_wins_and_the_other_hears_that_the_branch_moved(
    server: GitServer, forge: Forge, tmp_path: Path
) -> None:
    first = await forge.seed()
    racers = [forge, Forge(server, tmp_path / "rival")]
    assert await forge.head() == first
    for lap in range(5):
        before = await forge.head()
        assert before is not None
        for racer in racers:
            await asyncio.to_thread(racer.mirrors.commit, racer.repository, before)
        made = [racer.build(before, f"lap {lap} of {index}") for index, racer in enumerate(racers)]
        results = await asyncio.gather(
            *(racer.push(each, before) for racer, each in zip(racers, made, strict=True)),
            return_exceptions=True,
        )
        (loser,) = [result for result in results if result is not None]
        assert isinstance(loser, TemporaryError)
        assert loser.type == "BranchMoved"
        assert await forge.head() == made[results.index(None)]


async def test_two_machines_pushing_the_same_commit_both_succeed(
    server: GitServer, forge: Forge, tmp_path: Path
) -> None:
    first = await forge.seed()
    rival = Forge(server, tmp_path / "rival")
    await asyncio.to_thread(rival.mirrors.commit, rival.repository, first)
    made = forge.build(first, "same")
    assert rival.build(first, "same") == made
    await asyncio.gather(forge.push(made, first), rival.push(made, first))
    assert await forge.head() == made


async def test_a_push_that_would_drop_commits_is_refused_by_ourselves(forge: Forge) -> None:
    first = await forge.seed()
    second = forge.build(first, "second")
    await forge.push(second, first)
    with pytest.raises(PermanentError, match="does not stand on") as refusal:
        await forge.push(forge.build(first, "rival"), second)
    assert refusal.value.type == "RepositoryRefused"
    assert await forge.head() == second


async def test_a_protected_branch_is_refused_in_the_servers_words(
    server: GitServer, forge: Forge
) -> None:
    first = await forge.seed()
    server.protect("acme/shop", "main")
    with pytest.raises(PermanentError, match="main is protected: open a pull request") as refusal:
        await forge.push(forge.build(first, "second"), first)
    assert refusal.value.type == "RepositoryRefused"
    assert await forge.head() == first
    await forge.push(forge.build(first, "second"), None, "refs/heads/other")


async def test_a_hostile_refusal_is_told_in_plain_words(server: GitServer, forge: Forge) -> None:
    first = await forge.seed()
    hook = server.create("acme/shop") / "hooks" / "update"
    hook.write_text(
        "#!/bin/sh\n"
        "printf '\\033[2J\\033]0;x\\007Authorization: Basic c2VjcmV0 %09999d' 1 >&2\n"
        "exit 1\n"
    )
    with pytest.raises(PermanentError) as refusal:
        await forge.push(forge.build(first, "second"), first)
    message = str(refusal.value)
    assert message.isprintable()
    assert "c2VjcmV0" not in message
    assert len(message) < 700


async def test_a_deleted_or_damaged_mirror_is_fetched_again(forge: Forge, tmp_path: Path) -> None:
    first = await forge.seed()
    reader = GitMirrors(tmp_path / "reader", timeout=20)
    await asyncio.to_thread(reader.commit, forge.repository, first)
    (pack,) = (tmp_path / "reader").glob("*.git/objects/pack/*.pack")
    pack.chmod(0o600)
    damaged = bytearray(pack.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    for content in (bytes(damaged), b"", b"PACK"):
        pack.write_bytes(content)
        files = await asyncio.to_thread(lambda: list(reader.files(forge.repository, first)))
        assert [file.data for file in files] == [b"first"]
        (pack,) = (tmp_path / "reader").glob("*.git/objects/pack/*.pack")
        pack.chmod(0o600)


async def test_bytes_that_were_altered_on_disk_are_not_believed(
    forge: Forge, tmp_path: Path
) -> None:
    first = await forge.seed()
    reader = GitMirrors(tmp_path / "reader", timeout=20)
    await asyncio.to_thread(reader.commit, forge.repository, first)
    (mirror,) = (tmp_path / "reader").glob("*.git")
    (pack,) = mirror.glob("objects/pack/*.pack")
    packed = pack.read_bytes()
    shutil.rmtree(pack.parent)
    pack.parent.mkdir()
    subprocess.run(  # noqa: ASYNC221 - a moment, and nothing else runs
        ["git", "-C", str(mirror), "unpack-objects", "-q"],
        input=packed,
        env=git_environment(),
        check=True,
    )
    blob = hashlib.sha1(b"blob 5\0first").hexdigest()
    loose = mirror / "objects" / blob[:2] / blob[2:]
    loose.chmod(0o600)
    loose.write_bytes(zlib.compress(b"blob 5\0wrong"))
    files = await asyncio.to_thread(reader.files, forge.repository, first)
    assert [file.data for file in await asyncio.to_thread(list, files)] == [b"first"]


async def test_a_lock_left_by_a_killed_git_does_not_stop_us(forge: Forge, tmp_path: Path) -> None:
    first = await forge.seed()
    reader = GitMirrors(tmp_path / "reader", timeout=20)
    assert await asyncio.to_thread(reader.head, forge.repository, MAIN) == first
    (mirror,) = (tmp_path / "reader").glob("*.git")
    stale = mirror / "refs" / "kept" / f"{first}.lock"
    stale.parent.mkdir(parents=True)
    stale.touch()
    assert (await asyncio.to_thread(reader.commit, forge.repository, first)).revision == first


@pytest.mark.parametrize("name", ["..", ".git", "a/b"])
async def test_a_commit_that_would_write_outside_its_tree_is_not_taken(
    server: GitServer, tmp_path: Path, name: str
) -> None:
    served = server.create("acme/shop")

    async def store(kind: str, content: bytes) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            ["git", "hash-object", "-w", "-t", kind, "--literally", "--stdin"],
            cwd=served,
            env=git_environment(),
            input=content,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    blob = await store("blob", b"evil")
    tree = await store("tree", b"100644 %s\0%s" % (name.encode(), bytes.fromhex(blob)))
    person = "Mallory <m@example.com> 1767225600 +0000"
    text = f"tree {tree}\nauthor {person}\ncommitter {person}\n\nevil\n"
    revision = await store("commit", text.encode())
    reader = GitMirrors(tmp_path / "reader", timeout=20)
    repository = RepositoryRef(url=server.url("acme/shop"))
    for _ in range(2):  # also when the objects may be here already
        with pytest.raises(PermanentError) as refusal:
            await asyncio.to_thread(reader.commit, repository, revision)
        assert refusal.value.type == "RepositoryRefused"


async def test_submodules_links_and_hooks_in_a_commit_are_only_listed(
    server: GitServer, tmp_path: Path
) -> None:
    clone = await person_commits(server, tmp_path, "ada", "one")
    canary = tmp_path / "CANARY"
    (clone / ".gitmodules").write_text(
        f'[submodule "m"]\n\tpath = m\n\turl = {server.url("acme/shop")}\n'
        f"\tupdate = checkout\n\tfetchRecurseSubmodules = true\n"
    )
    (clone / ".gitattributes").write_text("* filter=evil\n")
    (clone / "hooks").mkdir()
    (clone / "hooks" / "post-checkout").write_text(f"#!/bin/sh\ntouch {canary}\n")
    (clone / "link").symlink_to("/etc/passwd")
    head = (await git(clone, "rev-parse", "HEAD")).stdout.strip()
    await git(clone, "add", ".")
    await git(clone, "update-index", "--add", "--cacheinfo", f"160000,{head},m")
    await git(clone, "commit", "-q", "-m", "odd")
    pushed = await git(clone, "push", "origin", "main")
    assert pushed.returncode == 0, pushed.stderr
    revision = (await git(clone, "rev-parse", "HEAD")).stdout.strip()
    reader = GitMirrors(tmp_path / "reader", timeout=20)
    repository = RepositoryRef(url=server.url("acme/shop"))
    files = await asyncio.to_thread(lambda: list(reader.files(repository, revision)))
    modes = {file.path: file.mode for file in files}
    assert (modes["link"], modes["m"]) == ("120000", "160000")
    assert {file.path for file in files if file.data is None} == {"link", "m"}
    assert not canary.exists()


async def test_a_mirror_with_many_packs_is_put_together_and_still_reads(
    forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilothouse.clients.git.mirror.MAX_PACKS", 2)
    reader = GitMirrors(tmp_path / "reader", timeout=20)
    revisions = [await forge.seed()]
    for number in range(4):
        revisions.append(forge.build(revisions[-1], f"change {number}"))
        await forge.push(revisions[-1], revisions[-2])
        await asyncio.to_thread(reader.commit, forge.repository, revisions[-1])
    packs = list((tmp_path / "reader").glob("*.git/objects/pack/*.pack"))
    assert len(packs) <= 2
    for revision in revisions:
        files = await asyncio.to_thread(reader.files, forge.repository, revision)
        assert len(await asyncio.to_thread(list, files)) == 1


async def test_a_server_that_is_gone_is_tried_again_later(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    mirrors = GitMirrors(tmp_path / "mirrors", timeout=5)
    with pytest.raises(TemporaryError) as failure:
        mirrors.head(RepositoryRef(url=f"http://localhost:{port}/acme/shop.git"), MAIN)
    assert failure.value.type == "RepositoryUnavailable"


async def test_a_server_that_never_answers_is_left_after_the_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/acme/shop.git"
        mirrors = GitMirrors(tmp_path / "mirrors", timeout=0.5)
        started = time.monotonic()
        with pytest.raises(TemporaryError, match="in time"):
            await asyncio.to_thread(mirrors.head, RepositoryRef(url=url), MAIN)
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("status", "error", "wire_type"),
    [
        (401, PermanentError, "RepositoryRefused"),
        (403, PermanentError, "RepositoryRefused"),
        (404, PermanentError, "RepositoryUnavailable"),
        (410, PermanentError, "RepositoryUnavailable"),
        (429, TemporaryError, "RepositoryUnavailable"),
        (500, TemporaryError, "RepositoryUnavailable"),
        (503, TemporaryError, "RepositoryUnavailable"),
    ],
)
async def test_an_http_status_decides_whether_to_try_again(
    tmp_path: Path, status: int, error: type[Exception], wire_type: str
) -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.end_headers()

    with http_server(answer) as url:
        mirrors = GitMirrors(tmp_path / "mirrors", timeout=10)
        with pytest.raises((PermanentError, TemporaryError)) as failure:
            await asyncio.to_thread(mirrors.head, RepositoryRef(url=f"{url}/acme/shop.git"), MAIN)
    assert isinstance(failure.value, PermanentError | TemporaryError)
    assert (type(failure.value), failure.value.type) == (error, wire_type)


async def test_no_program_is_asked_for_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "askpass"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path / 'CANARY'}\n")
    script.chmod(0o755)
    monkeypatch.setenv("GIT_ASKPASS", str(script))
    monkeypatch.setenv("SSH_ASKPASS", str(script))

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(401)
        request.send_header("WWW-Authenticate", 'Basic realm="x"')
        request.end_headers()

    with http_server(answer) as url:
        mirrors = GitMirrors(tmp_path / "mirrors", timeout=10)
        with pytest.raises(PermanentError, match="check the credential"):
            await asyncio.to_thread(mirrors.head, RepositoryRef(url=f"{url}/a/b.git"), MAIN)
    assert not (tmp_path / "CANARY").exists()


async def test_a_redirect_is_not_followed_and_takes_no_credential_along(tmp_path: Path) -> None:
    seen: list[str] = []
    asked: list[str | None] = []

    def elsewhere(request: http.server.BaseHTTPRequestHandler) -> None:
        seen.append(request.path)
        request.send_response(200)
        request.end_headers()

    with http_server(elsewhere) as target:

        def redirect(request: http.server.BaseHTTPRequestHandler) -> None:
            asked.append(request.headers["Authorization"])
            request.send_response(302)
            request.send_header("Location", f"{target}{request.path}")
            request.end_headers()

        with http_server(redirect) as url:
            secret = SecretStr("Basic dXNlcjp0b2tlbg==")
            mirrors = GitMirrors(
                tmp_path / "mirrors", credentials={"localhost": secret}, timeout=10
            )
            with pytest.raises(PermanentError) as failure:
                await asyncio.to_thread(
                    mirrors.head, RepositoryRef(url=f"{url}/acme/shop.git"), MAIN
                )
    assert asked == [secret.get_secret_value()]
    assert seen == []
    assert "dXNlcjp0b2tlbg" not in str(failure.value)


async def test_a_credential_is_in_no_command_line_and_in_no_error(tmp_path: Path) -> None:
    command_lines: list[str] = []

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                command_lines.append(process.read_text(errors="replace"))
        request.send_response(403, f"no {request.headers['Authorization']}")
        request.end_headers()

    with http_server(answer) as url:
        secret = SecretStr("Bearer s3cr3t-t0ken")
        mirrors = GitMirrors(tmp_path / "mirrors", credentials={"localhost": secret}, timeout=10)
        with pytest.raises(PermanentError) as failure:
            await asyncio.to_thread(mirrors.head, RepositoryRef(url=f"{url}/a/b.git"), MAIN)
    assert any("ls-remote" in line for line in command_lines)
    assert not any("s3cr3t" in line for line in command_lines)
    assert "s3cr3t" not in str(failure.value)
    assert "s3cr3t" not in "".join(
        file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()
    )


async def test_a_push_is_told_as_a_signed_webhook(
    forge: Forge, receiver: Receiver, server: GitServer
) -> None:
    first = await forge.seed()
    second = forge.build(first, "second")
    await forge.push(second, first)
    created, updated = (await receiver.wait_for(2))[:2]
    digest = hmac.new(SECRET.get_secret_value().encode(), updated.body, hashlib.sha256)
    assert updated.headers["X-Hub-Signature-256"] == f"sha256={digest.hexdigest()}"
    assert updated.headers["X-GitHub-Event"] == "push"
    assert created.headers["X-GitHub-Delivery"] != updated.headers["X-GitHub-Delivery"]
    assert created.payload["created"] is True
    payload = updated.payload
    names = ("ref", "before", "after", "created", "deleted", "forced")
    assert [payload[name] for name in names] == [MAIN, first, second, False, False, False]
    repository, head = payload["repository"], payload["head_commit"]
    assert isinstance(repository, dict) and isinstance(head, dict)
    assert repository["full_name"] == "acme/shop"
    assert repository["clone_url"] == server.url("acme/shop")
    assert repository["default_branch"] == "main"
    assert (head["id"], head["message"]) == (second, "second")
    assert payload["pusher"] == {"name": "Pilothouse", "email": "pilothouse@localhost"}


async def test_a_deleted_and_a_forced_branch_are_told_as_such(
    forge: Forge, receiver: Receiver, server: GitServer, tmp_path: Path
) -> None:
    first = await forge.seed()
    clone = await person_commits(server, tmp_path, "ada", "one")
    await git(clone, "push", "origin", "main:side")
    await git(clone, "commit", "-q", "--amend", "-m", "other")
    forced = await git(clone, "push", "--force", "origin", "main:side")
    assert forced.returncode == 0, forced.stderr
    await git(clone, "push", "origin", ":side")
    told = [delivery.payload for delivery in (await receiver.wait_for(4))[:4]]
    assert [each["forced"] for each in told] == [False, False, True, False]
    assert told[3]["deleted"] is True
    assert told[3]["after"] == ZERO
    assert told[3]["head_commit"] is None
    assert await forge.head() == first


async def test_a_pull_request_is_opened_updated_and_closed_by_its_ref(
    forge: Forge, receiver: Receiver, server: GitServer, tmp_path: Path
) -> None:
    first = await forge.seed()
    clone = await person_commits(server, tmp_path, "ada", "Add a shop")
    heads = []
    for message in ("Add a shop", "Add more"):
        await git(clone, "commit", "-q", "--amend", "--allow-empty", "-m", message)
        heads.append((await git(clone, "rev-parse", "HEAD")).stdout.strip())
        await git(clone, "push", "--force", "origin", "HEAD:refs/pull/7/head")
    await git(clone, "push", "origin", ":refs/pull/7/head", "HEAD:refs/notes/silent")
    told = (await receiver.wait_for(4))[1:4]
    assert {each.headers["X-GitHub-Event"] for each in told} == {"pull_request"}
    payloads = [each.payload for each in told]
    assert [each["action"] for each in payloads] == ["opened", "synchronize", "closed"]
    assert [each["number"] for each in payloads] == [7, 7, 7]
    details = [each["pull_request"] for each in payloads]
    found = []
    for each in details:
        assert isinstance(each, dict)
        head, base, user = each["head"], each["base"], each["user"]
        assert isinstance(head, dict) and isinstance(base, dict) and isinstance(user, dict)
        assert (base["ref"], base["sha"], user["login"]) == ("main", first, "Ada")
        found.append((each["title"], head["sha"]))
    assert found == [("Add a shop", heads[0]), ("Add more", heads[1]), ("Add more", heads[1])]


async def test_a_webhook_is_sent_again_with_the_same_id_until_it_is_taken(
    forge: Forge, receiver: Receiver, server: GitServer
) -> None:
    receiver.statuses = [503, 500, 429]
    await forge.seed()
    got = await receiver.wait_for(4)
    assert len({each.headers["X-GitHub-Delivery"] for each in got}) == 1
    assert len({each.body for each in got}) == 1
    await eventually(lambda: len(server.delivery_log.read_text().splitlines()) == 4)
    lines = [json.loads(line) for line in server.delivery_log.read_text().splitlines()]
    assert [line["status"] for line in lines] == [503, 500, 429, 202]


async def test_a_webhook_that_is_refused_is_written_down_and_not_repeated(
    forge: Forge, receiver: Receiver, server: GitServer, tmp_path: Path
) -> None:
    receiver.statuses = [401]
    first = await forge.seed()
    await eventually(lambda: any((tmp_path / "served/.deliveries/failed").iterdir()))
    await forge.push(forge.build(first, "second"), first)
    await receiver.wait_for(2)
    assert [each.payload["created"] for each in receiver.got] == [True, False]


async def test_webhooks_that_wait_survive_a_restart_and_never_hold_up_a_push(
    tmp_path: Path, receiver: Receiver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    served = tmp_path / "served"
    async with GitServer(served, webhook_url=nobody, webhook_secret=SECRET) as server:
        server.create("acme/shop")
        forge = Forge(server, tmp_path / "mirrors")
        revision = forge.build(None, "first")
        started = time.monotonic()
        await forge.push(revision, None)
        assert time.monotonic() - started < 2
        await eventually(lambda: server.delivery_log.exists())
        second = forge.build(revision, "second")
        await forge.push(second, revision)
        port = server.port
    assert receiver.got == []
    async with GitServer(
        served, port=port, webhook_url=receiver.url, webhook_secret=SECRET
    ) as server:
        told = await receiver.wait_for(2)
        assert [each.payload["after"] for each in told] == [revision, second]
        assert await forge.head() == second
    log = [json.loads(line) for line in server.delivery_log.read_text().splitlines()]
    # Tried before the restart and after it, and the same to whoever receives it twice.
    ids = [each.headers["X-GitHub-Delivery"] for each in told]
    assert [line["delivery"] for line in log if line["status"] == 202] == ids
    assert log[0]["delivery"] == ids[0]
    assert log[0]["status"] == 0
    assert not any((served / ".deliveries" / "pending").iterdir())


async def test_a_push_that_is_killed_changes_nothing_and_can_be_repeated(
    server: GitServer, forge: Forge, tmp_path: Path, receiver: Receiver
) -> None:
    first = await forge.seed()
    clone = await person_commits(server, tmp_path, "ada", "one")
    (clone / "big").write_bytes(os.urandom(4 * 1024 * 1024))
    await git(clone, "add", ".")
    await git(clone, "commit", "-q", "-m", "big")
    revision = (await git(clone, "rev-parse", "HEAD")).stdout.strip()
    half_taken = server.create("acme/shop") / "objects"
    with unreliable(server, request_bytes=1_000_000) as url:
        push = await asyncio.create_subprocess_exec(
            *("git", "-C", str(clone), "push", "-q", url, "main"),
            env=git_environment(),
            start_new_session=True,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await eventually(lambda: any(half_taken.glob("tmp_objdir-incoming-*")))
        finally:
            os.killpg(push.pid, signal.SIGKILL)
            await push.wait()
        await eventually(lambda: not any(half_taken.glob("tmp_objdir-incoming-*")))
    assert await forge.head() == first
    again = await git(clone, "push", "origin", "main")
    assert again.returncode == 0, again.stderr
    assert await forge.head() == revision
    pushes = [each.payload["after"] for each in (await receiver.wait_for(2))]
    assert pushes == [first, revision]


async def test_a_fetch_whose_server_dies_is_tried_again_and_leaves_no_half(
    server: GitServer, forge: Forge, tmp_path: Path
) -> None:
    data = os.urandom(200_000)
    revision = forge.mirrors.build_commit(
        forge.repository, base=None, changes={"a": data}, message="x", when=WHEN
    )
    await forge.push(revision, None)
    reader = GitMirrors(tmp_path / "reader", timeout=20)
    with unreliable(server, answer_bytes=50_000) as url:
        cut = RepositoryRef(url=url)
        with pytest.raises(TemporaryError) as failure:
            await asyncio.to_thread(reader.commit, cut, revision)
        assert failure.value.type == "RepositoryUnavailable"
    with unreliable(server, port=urlsplit(url).port or 0):
        files = await asyncio.to_thread(lambda: list(reader.files(cut, revision)))
    assert [file.data for file in files] == [data]


@contextmanager
def unreliable(
    server: GitServer, *, request_bytes: int = 10**9, answer_bytes: int = 10**9, port: int = 0
) -> Generator[str]:
    """A TCP proxy: of each connection it swallows the rest of the request, or cuts the answer."""
    listener = socket.create_server(("127.0.0.1", port))
    pool = ThreadPoolExecutor(max_workers=16)

    def forward(source: socket.socket, target: socket.socket, limit: int) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data[:limit])
                limit -= len(data[:limit])
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", server.port)) as upstream:
            pool.submit(forward, client, upstream, request_bytes)
            left = answer_bytes
            with suppress(OSError):
                while left > 0 and (data := upstream.recv(min(left, 65536))):
                    client.sendall(data)
                    left -= len(data)
                client.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                pool.submit(serve, listener.accept()[0])

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/acme/shop.git"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        pool.shutdown()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/acme/none.git/info/refs?service=git-upload-pack", 404),
        ("/%2e%2e/acme/shop.git/info/refs?service=git-upload-pack", 404),
        ("/.deliveries/x.git/info/refs?service=git-upload-pack", 404),
        ("/acme/shop.git/info/refs?service=git-upload-archive", 403),
        ("/acme/shop.git/info/refs", 403),
        ("/acme/shop.git/config", 405),
        ("/acme/shop.git/HEAD", 405),
    ],
)
async def test_only_the_two_services_of_known_repositories_are_served(
    server: GitServer, path: str, status: int
) -> None:
    async with httpx2.AsyncClient() as client:
        assert (await client.get(server.base_url + path)).status_code == status


async def test_a_page_in_a_browser_can_neither_read_nor_push(server: GitServer) -> None:
    refs = f"{server.base_url}/acme/shop.git/info/refs?service=git-upload-pack"
    push = f"{server.base_url}/acme/shop.git/git-receive-pack"
    async with httpx2.AsyncClient() as client:
        rebound = await client.get(refs, headers={"Host": "evil.example"})
        assert rebound.status_code == 400
        form = await client.post(push, content=b"0000", headers={"Content-Type": "text/plain"})
        assert form.status_code == 415


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x", "a/../b", "a/b/c", "/x", ".x", "a/.x", "x.git", "a b", "a\n", "-x", "$x"],
)
async def test_a_repository_cannot_have_a_hostile_name(server: GitServer, name: str) -> None:
    with pytest.raises(PermanentError):
        server.create(name)


async def test_the_server_runs_as_a_process_of_its_own(tmp_path: Path, receiver: Receiver) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET.get_secret_value() + "\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pilothouse.local.git_server"),
        *("--directory", str(tmp_path / "served"), "--port", str(port)),
        *("--create", "acme/shop", "--webhook-url", receiver.url),
        *("--webhook-secret-file", str(secret)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        mirrors = GitMirrors(tmp_path / "mirrors", timeout=20)
        repository = RepositoryRef(url=f"http://localhost:{port}/acme/shop.git")

        def push() -> str:
            revision = mirrors.build_commit(
                repository, base=None, changes={"a": b"1"}, message="m", when=WHEN
            )
            mirrors.push(repository, ref=MAIN, revision=revision, expected=None)
            return revision

        await eventually(lambda: _answers(port))
        revision = await asyncio.to_thread(push)
        assert (await receiver.wait_for(1))[0].payload["after"] == revision
    finally:
        process.terminate()
        output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, output.decode()
    assert SECRET.get_secret_value() not in output.decode()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
