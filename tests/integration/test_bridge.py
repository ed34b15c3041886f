"""The bridge from outside: as a forge meets it, as a forger does, and when it is killed."""

import asyncio
import hmac
import json
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from pilothouse.bridge.app import bridge_app
from pilothouse.bridge.configuration import BridgeConfiguration, WatchedRepository
from pilothouse.bridge.dispatcher import EventSender
from pilothouse.bridge.server import run_bridge
from pilothouse.clients.temporal.connection import TemporalConnection
from pilothouse.clients.temporal.connection import connect as connect_to_temporal
from pilothouse.clients.temporal.starter import WorkflowStarter
from pilothouse.local.ports import free_ports
from pilothouse.local.temporal_server import TemporalServer
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import RepositoryEvent, RepositoryRef

SECRET, OTHER_SECRET = "the-secret-of-app-01", "the-secret-of-other-01"
HOOK = "/webhooks/github"
APP = WatchedRepository(
    repository=RepositoryRef(url="https://git.example.com/acme/app"), full_name="acme/app"
)
OTHER = WatchedRepository(
    repository=RepositoryRef(url="https://git.example.com/acme/other"),
    full_name="acme/other",
    secrets=(SecretStr(OTHER_SECRET),),
)
PROGRAM = Path(__file__).with_name("bridge_process.py")


def push(number: int = 1, name: str = "acme/app", ref: str = "refs/heads/main") -> bytes:
    repository = {"full_name": name, "clone_url": "https://evil.example.com/x", "pushed_at": number}
    return json.dumps({
        "ref": ref,
        "before": "a" * 40,
        "after": f"{number:040x}",
        "repository": repository,
    }).encode()


def pull_request(number: int, action: str = "opened") -> bytes:
    pull = {"head": {"sha": "b" * 40}, "base": {"ref": "main"}, "updated_at": "now"}
    return json.dumps({
        "action": action,
        "number": number,
        "pull_request": pull,
        "repository": {"full_name": "acme/app"},
    }).encode()


def headers(body: bytes, event: str, delivery: str = "d-1", secret: str = SECRET) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-hub-signature-256": "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex(),
    }


class Recorder:
    def __init__(self) -> None:
        self.sent: list[tuple[str, RepositoryEvent]] = []

    async def send_event(self, repository: RepositoryRef, event: RepositoryEvent) -> None:
        self.sent.append((repository.url, event))


class Bridge:
    """A bridge without a socket, and what it sent."""

    def __init__(self, client: httpx2.AsyncClient, recorder: Recorder, journal: Path) -> None:
        self.client = client
        self.recorder = recorder
        self.journal = journal

    async def deliver(
        self, body: bytes, event: str = "push", delivery: str = "d-1", secret: str = SECRET
    ) -> httpx2.Response:
        return await self.client.post(
            HOOK, content=body, headers=headers(body, event, delivery, secret)
        )

    async def until_sent(self, count: int) -> list[tuple[str, RepositoryEvent]]:
        for _ in range(2000):
            if len(self.recorder.sent) >= count:
                return self.recorder.sent
            await asyncio.sleep(0.01)
        raise AssertionError(f"{len(self.recorder.sent)} of {count} events were sent within 20 s")


@asynccontextmanager
async def in_process(journal: Path, **changes: Any) -> AsyncIterator[Bridge]:
    recorder = Recorder()

    async def connect() -> EventSender:
        return recorder

    configuration = BridgeConfiguration(
        journal=journal,
        repositories=(APP, OTHER),
        secrets=(SecretStr(SECRET),),
        repositories_source="repositories.yaml",
        **changes,
    )
    async with bridge_app(configuration, connect) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Bridge(client, recorder, journal)


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[Bridge]:
    async with in_process(tmp_path / "journal.db") as bridge:
        yield bridge


async def test_a_push_is_accepted_and_sent_with_the_configured_url(bridge: Bridge) -> None:
    response = await bridge.deliver(push())
    assert response.status_code == 202
    assert response.json() == {"accepted": True, "delivery": "d-1", "duplicate": False}
    ((url, event),) = await bridge.until_sent(1)
    assert url == "https://git.example.com/acme/app"
    assert (event.kind, event.ref, event.delivery) == ("push", "refs/heads/main", "d-1")


async def test_a_pull_request_is_accepted_and_sent(bridge: Bridge) -> None:
    assert (await bridge.deliver(pull_request(7), "pull_request")).status_code == 202
    ((_, event),) = await bridge.until_sent(1)
    assert (event.kind, event.ref) == ("pull_request", "refs/pull/7/head")


async def test_the_same_delivery_twice_is_accepted_twice_and_sent_once(bridge: Bridge) -> None:
    answers = [await bridge.deliver(push()) for _ in range(2)]
    answers.append(await bridge.deliver(push(), delivery="replayed"))
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert [answer.json()["duplicate"] for answer in answers] == [False, True, True]
    await bridge.deliver(pull_request(7), "pull_request", "d-2")
    sent = await bridge.until_sent(2)
    assert [event.delivery for _, event in sent] == ["d-1", "d-2"]


async def test_case_does_not_matter_in_a_repositorys_name(bridge: Bridge) -> None:
    assert (await bridge.deliver(push(name="ACME/App"))).status_code == 202


async def test_what_starts_nothing_says_why(bridge: Bridge) -> None:
    elsewhere = await bridge.deliver(push(ref="refs/heads/feature"))
    assert (elsewhere.status_code, elsewhere.json()["ignored"]) == (200, True)
    assert "refs/heads/main" in elsewhere.json()["reason"]
    for event in ("check_run", "something_new"):
        answer = await bridge.deliver(b"whatever", event)
        assert (answer.status_code, answer.json()["ignored"]) == (200, True)
    assert (await bridge.deliver(b"{}", "ping")).json() == {"pong": True}
    assert not bridge.recorder.sent


async def test_a_repository_that_is_not_configured_says_where_to_add_it(bridge: Bridge) -> None:
    answer = await bridge.deliver(push(name="acme/unknown"))
    assert answer.status_code == 404
    assert "add it to repositories.yaml" in answer.json()["reason"]


@pytest.mark.parametrize(
    "changes",
    [
        {"x-hub-signature-256": ""},
        {"x-hub-signature-256": "sha256=" + "0" * 64},
        {"x-hub-signature-256": "", "x-hub-signature": "sha1=" + "0" * 40},
        headers(push(), "push", secret="a-secret-of-nobody-01"),
        headers(push(2), "push"),
    ],
    ids=["missing", "zeros", "sha1 only", "another secret", "another body"],
)
async def test_a_forged_body_is_refused_and_leaves_nothing(
    bridge: Bridge, changes: dict[str, str]
) -> None:
    answer = await bridge.client.post(
        HOOK, content=push(), headers=headers(push(), "push") | changes
    )
    assert answer.status_code == 401
    assert rows(bridge.journal) == 0


async def test_a_valid_sha1_signature_is_refused(bridge: Bridge) -> None:
    body = push()
    sha1 = "sha1=" + hmac.digest(SECRET.encode(), body, "sha1").hex()
    sent = headers(body, "push") | {"x-hub-signature": sha1, "x-hub-signature-256": sha1}
    assert (await bridge.client.post(HOOK, content=body, headers=sent)).status_code == 401


async def test_one_repositorys_secret_does_not_speak_for_another(bridge: Bridge) -> None:
    as_app = await bridge.deliver(push(), secret=OTHER_SECRET)
    as_other = await bridge.deliver(push(name="acme/other"), secret=SECRET)
    assert (as_app.status_code, as_other.status_code) == (401, 401)
    own = await bridge.deliver(push(name="acme/other"), secret=OTHER_SECRET)
    assert own.status_code == 202


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"content-encoding": "gzip"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"x-github-event": ""}, 400),
        ({"x-github-delivery": ""}, 400),
        ({"x-github-delivery": "../../d"}, 400),
        ({"x-github-delivery": "d" * 65}, 400),
        ({"host": "evil.example.com"}, 400),
        ({"host": "localhost/evil"}, 400),
    ],
)
async def test_a_signed_request_in_the_wrong_form_is_refused(
    bridge: Bridge, changes: dict[str, str], status: int
) -> None:
    sent = headers(push(), "push") | changes
    answer = await bridge.client.post(HOOK, content=push(), headers=sent)
    assert answer.status_code == status
    assert rows(bridge.journal) == 0


async def test_a_body_is_bounded_announced_or_streamed(tmp_path: Path) -> None:
    async with in_process(tmp_path / "journal.db", max_body_bytes=2048) as bridge:
        body = push()[:-1] + b" " * 2048 + b"}"
        assert (await bridge.deliver(body)).status_code == 413
        read = 0

        async def stream() -> AsyncIterator[bytes]:
            nonlocal read
            for _ in range(1000):
                read += 1024
                yield b" " * 1024

        sent = headers(b"", "push")
        answer = await bridge.client.post(HOOK, content=stream(), headers=sent)
        assert answer.status_code == 413


async def test_other_paths_and_methods_are_refused_as_json(bridge: Bridge) -> None:
    assert (await bridge.client.get("/")).json()["accepted"] is False
    assert (await bridge.client.get(HOOK)).status_code == 405


async def test_a_locked_journal_is_503_and_nothing_is_promised(bridge: Bridge) -> None:
    database = sqlite3.connect(bridge.journal, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    answer = await bridge.deliver(push())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert (await bridge.client.get("/readyz")).status_code == 503
    assert (await bridge.client.get("/healthz")).status_code == 200
    database.execute("ROLLBACK")
    database.close()
    assert (await bridge.deliver(push())).json()["duplicate"] is False


async def test_readiness_reports_the_backlog_while_temporal_is_away(tmp_path: Path) -> None:
    async def connect() -> EventSender:
        raise TemporaryError("TemporalUnavailable", "nobody answers at secret-host:7233")

    configuration = BridgeConfiguration(
        journal=tmp_path / "journal.db", repositories=(APP,), secrets=(SecretStr(SECRET),)
    )
    async with bridge_app(configuration, connect) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            sent = headers(push(), "push")
            assert (await client.post(HOOK, content=push(), headers=sent)).status_code == 202
            for _ in range(200):
                ready = await client.get("/readyz")
                if not ready.json()["temporal"]["available"]:
                    break
                await asyncio.sleep(0.05)
    assert ready.status_code == 200
    assert (ready.json()["ready"], ready.json()["temporal"]["pending"]) == (True, 1)
    assert not ready.json()["temporal"]["available"]
    assert "secret-host" not in ready.text
    assert SECRET not in ready.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELD = st.sampled_from(["ref", "before", "after", "action", "number", "pull_request"])
BODY = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda document: json.dumps(document).encode()),
    st.dictionaries(FIELD, JSON).map(
        lambda fields: json.dumps(fields | {"repository": {"full_name": "acme/app"}}).encode()
    ),
    st.dictionaries(FIELD, JSON).map(
        lambda fields: json.dumps(json.loads(pull_request(7)) | fields).encode()
    ),
)
HEADER = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)


async def test_no_signed_body_and_no_header_makes_a_server_error(bridge: Bridge) -> None:
    seen: set[int] = set()
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=200,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(BODY, st.sampled_from(["push", "pull_request"]) | HEADER, st.just("d-1") | HEADER)
    def deliver(body: bytes, event: str, delivery: str) -> None:
        answer = bridge.deliver(body, event.strip(), delivery.strip())
        status = asyncio.run_coroutine_threadsafe(answer, loop).result(60).status_code
        seen.add(status)
        assert status < 500

    await asyncio.to_thread(deliver)
    assert {200, 400} <= seen


async def test_an_accepted_push_is_a_signal_in_temporals_history(tmp_path: Path) -> None:
    async with TemporalServer(tmp_path / "temporal") as server:
        client = await connect_to_temporal(TemporalConnection(address=server.address))

        async def connect() -> EventSender:
            return WorkflowStarter(client)

        configuration = BridgeConfiguration(
            journal=tmp_path / "journal.db", repositories=(APP,), secrets=(SecretStr(SECRET),)
        )
        async with bridge_app(configuration, connect) as app:
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
                sent = headers(push(), "push")
                assert (await http.post(HOOK, content=push(), headers=sent)).status_code == 202
                for _ in range(400):
                    backlog = (await http.get("/readyz")).json()["temporal"]
                    if not backlog["pending"]:
                        break
                    await asyncio.sleep(0.05)
        handle = client.get_workflow_handle("repository/git.example.com/acme/app")
        history = (await handle.fetch_history()).to_json()
    assert backlog["pending"] == 0
    assert "workflowExecutionSignaledEventAttributes" in history


async def test_a_journal_that_cannot_be_opened_ends_the_bridge_with_a_reason(
    tmp_path: Path,
) -> None:
    (tmp_path / "journal.db").write_text("not a database " * 100)
    configuration = BridgeConfiguration(
        journal=tmp_path / "journal.db",
        repositories=(APP,),
        secrets=(SecretStr(SECRET),),
        port=0,
    )
    with pytest.raises(PermanentError, match="not a database"):
        await run_bridge(configuration)


async def test_a_taken_port_ends_the_bridge_with_a_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        configuration = BridgeConfiguration(
            journal=tmp_path / "journal.db",
            repositories=(APP,),
            secrets=(SecretStr(SECRET),),
            port=taken.getsockname()[1],
        )
        with pytest.raises(PermanentError, match="cannot listen"):
            await run_bridge(configuration)


async def test_what_was_acknowledged_survives_kill_9_and_is_sent(tmp_path: Path) -> None:
    (tmp_path / "app.secret").write_text(SECRET)
    (tmp_path / "repositories.yaml").write_text(
        "repositories: [{url: 'https://git.example.com/acme/app', secret_file: app.secret}]"
    )
    (tmp_path / "sent").touch()
    (tmp_path / "away").touch()
    acknowledged: set[str] = set()
    for kill in range(3):
        async with bridge_process(tmp_path) as (process, client):
            burst = asyncio.gather(
                *(post_until_killed(client, kill * 1000 + n, acknowledged) for n in range(300))
            )
            await until(lambda goal=(kill + 1) * 60: len(acknowledged) >= goal)
            process.kill()
            await burst
    assert acknowledged <= deliveries(tmp_path / "journal.db")
    assert len(acknowledged) >= 180

    (tmp_path / "away").unlink()
    async with bridge_process(tmp_path) as (process, client):
        await until(lambda: acknowledged <= set((tmp_path / "sent").read_text().split()))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def post_until_killed(
    client: httpx2.AsyncClient, number: int, acknowledged: set[str]
) -> None:
    body, delivery = pull_request(number + 1), f"d-{number}"
    try:
        answer = await client.post(
            HOOK, content=body, headers=headers(body, "pull_request", delivery)
        )
    except httpx2.TransportError:
        return  # killed before it answered: nothing was promised
    assert answer.status_code == 202
    acknowledged.add(delivery)


@asynccontextmanager
async def bridge_process(
    folder: Path,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx2.AsyncClient]]:
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(sys.executable, PROGRAM, folder, str(port))
    limits = httpx2.Limits(max_connections=20)
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
            await answering(client, process)
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answering(client: httpx2.AsyncClient, process: asyncio.subprocess.Process) -> None:
    for _ in range(600):
        assert process.returncode is None
        try:
            if (await client.get("/healthz")).status_code == 200:
                return
        except httpx2.TransportError:
            await asyncio.sleep(0.05)
    raise AssertionError("the bridge did not answer within 30 s")


async def until(condition: Any) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true within 30 s")


def deliveries(journal: Path) -> set[str]:
    database = sqlite3.connect(journal)
    try:
        return {delivery for (delivery,) in database.execute("SELECT delivery FROM deliveries")}
    finally:
        database.close()


def rows(journal: Path) -> int:
    return len(deliveries(journal))
