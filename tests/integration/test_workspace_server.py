"""An MCP client's session with the workspace server: real HTTP, real Git, real Temporal."""

import asyncio
import hmac
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
import uvicorn
from mcp import MCPError, StdioServerParameters
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from temporalio.client import Client as Temporal
from temporalio.testing import ActivityEnvironment

from activities.tools import ToolActivities
from pilothouse.clients.git import GitMirrors
from pilothouse.clients.mcp import McpAccess, McpClients
from pilothouse.clients.mcp import workspace_server as our_server
from pilothouse.clients.settings import McpToken, Settings, inherited_environment
from pilothouse.clients.store import ContentStore
from pilothouse.clients.temporal.connection import TemporalConnection
from pilothouse.local.git_server import GitServer
from pilothouse.local.ports import free_ports
from pilothouse.models import names
from pilothouse.models.environment import EnvironmentState, HoldClaim, LockRequest, OwnershipClaim
from pilothouse.models.pipeline import Agent, Pipeline
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import PipelineRequest, PipelineResult
from pilothouse.models.tools import ToolCallRequest, ToolListRequest
from pilothouse.workspace.configuration import Target, Workspace, WorkspaceConfiguration
from pilothouse.workspace.keys import KeyRing, NewKey
from pilothouse.workspace.scopes import SCOPES, TOOLS
from pilothouse.workspace.server import Transport, http_app
from pilothouse.workspace.service import workspace_server
from tests.workflow import driving
from tests.workflow.world import World, dev_server, two_environments, working

WHEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: model-api
spec:
  replicas: 3
"""
FILES = {
    "manifests/deployment.yaml": DEPLOYMENT,
    "manifests/secret.yaml": "apiVersion: v1\nkind: Secret\nstringData:\n  word: canary-4711\n",
    "docs/runbook.md": "# Runbook\n\nModel v1.2.2 failed in production: out of memory.\n",
    "status/deployments.json": '{"latest": "v1.2.2", "status": "deployed"}\n',
}


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[Temporal]:
    async with dev_server() as client:
        yield client


@pytest.fixture
def world(git: GitServer) -> World:
    """What the workflows meet instead of a cluster."""
    return two_environments(git.url("team/model-api"))


@pytest.fixture
async def worker(temporal: Temporal, world: World) -> AsyncIterator[Temporal]:
    """Our workflows, all of them real."""
    async with working(temporal, world):
        yield temporal


class Desk:
    """A served workspace, and what a test needs to arrange and to look at."""

    def __init__(self, folder: Path, repository: RepositoryRef, url: str, keys: KeyRing) -> None:
        self.mirrors = GitMirrors(folder / "looking")
        self.repository = repository
        self.url = url
        self.keys = keys
        self.stack = AsyncExitStack()

    def key(self, *scopes: str, **more: Any) -> NewKey:
        given = {"name": "Claude Code", "workspace": "ws-model-api", "environment": "staging"}
        return self.keys.create(scopes=scopes or tuple(SCOPES), **{**given, **more})

    @asynccontextmanager
    async def session(self, token: str, path: str = "/mcp", **more: Any) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(self.url + path, http_client=http), **more) as client,
        ):
            yield client

    async def head(self, branch: str) -> str:
        # In a thread: the Git server runs in this loop.
        ref = f"refs/heads/{branch}"
        return await asyncio.to_thread(self.mirrors.head, self.repository, ref) or ""

    async def committed(self, branch: str) -> dict[str, bytes | None]:
        revision = await self.head(branch)
        files = await asyncio.to_thread(lambda: [*self.mirrors.files(self.repository, revision)])
        return {file.path: file.data for file in files}


@asynccontextmanager
async def serving(
    folder: Path, git: GitServer, temporal: str, transport: Transport, **more: Any
) -> AsyncIterator[Desk]:
    repository = RepositoryRef(url=git.url("team/model-api"))
    git.create("team/model-api")
    seeding = GitMirrors(folder / "seeding")
    first = await asyncio.to_thread(
        lambda: seeding.build_commit(
            repository,
            base=None,
            changes={path: text.encode() for path, text in FILES.items()},
            message="Begin",
            when=WHEN,
        )
    )
    await asyncio.to_thread(
        lambda: seeding.push(repository, ref="refs/heads/main", revision=first, expected=None)
    )
    [port] = free_ports(1)
    workspace = Workspace(
        id="ws-model-api",
        repository=repository,
        status_branch="pilothouse/status",
        environments={"staging": Target(namespace="model-api")},
        clone_from=(RepositoryRef(url=git.url("team/prompts")),),
    )
    configuration = WorkspaceConfiguration(
        workspaces={"ws-model-api": workspace.model_copy(update=more)},
        keys_file=folder / "keys.json",
        mirrors_dir=folder / "mirrors",
        port=port,
        wait_seconds=10,
        allow_loopback=True,
    )
    connection = TemporalConnection(address=temporal)
    async with workspace_server(configuration, temporal=connection) as server:
        app = http_app(server, configuration, transport)
        web = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, ws="none"))
        serving = asyncio.create_task(web.serve())
        while not web.started:
            assert not serving.done(), serving.result()
            await asyncio.sleep(0.02)
        keys = KeyRing(configuration.keys_file)
        try:
            yield Desk(folder, repository, f"http://127.0.0.1:{port}", keys)
        finally:
            web.should_exit = True
            await serving


@pytest.fixture
async def git(tmp_path: Path) -> AsyncIterator[GitServer]:
    server = GitServer(tmp_path / "repositories")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def desk(tmp_path: Path, git: GitServer) -> AsyncIterator[Desk]:
    """Served without Temporal: nothing listens where it is looked for."""
    [port] = free_ports(1)
    async with serving(tmp_path, git, f"127.0.0.1:{port}", "streamable-http") as served:
        yield served


@pytest.fixture
async def staffed(tmp_path: Path, git: GitServer, worker: Temporal) -> AsyncIterator[Desk]:
    """Served with Temporal and a worker."""
    address = worker.service_client.config.target_host
    async with serving(tmp_path, git, address, "streamable-http") as served:
        yield served


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    answer: dict[str, Any] | None = result.structured_content
    assert answer is not None
    return answer


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    return " ".join(getattr(block, "text", "") for block in result.content)


async def test_the_seeds_calls_work_as_written(staffed: Desk, world: World) -> None:
    async with staffed.session(staffed.key().token, "/storage-for-agents/") as mcp:
        listing = await call(mcp, "list_files", path="/manifests")
        assert listing["files"] == ["deployment.yaml", "secret.yaml"]
        assert listing["revision"] == (await staffed.head("main"))
        read = await call(mcp, "read_file", path="/manifests/deployment.yaml")
        assert (read["content"], read["revision"]) == (DEPLOYMENT, (await staffed.head("main")))
        found = await call(mcp, "rag_query", query="What model versions failed in production?")
        assert found["passages"][0]["citation"] == "/docs/runbook.md:1"

        lock = await call(mcp, "acquire_lock", path="/status/deployment.lock")
        assert lock["held"] is True
        applied = await call(mcp, "exec_shell", command="kubectl apply -f manifests/")
        assert applied["outcome"] == "deployed"
        assert "healthy" in applied["output"]
        assert [each.fencing for each in world.applied] == [lock["fencing"] + 1]
        assert applied["deployment"].startswith("deployment/localhost/team/model-api/staging/")
        content = '{"latest": "v1.2.3", "status": "deployed"}'
        written = await call(mcp, "write_file", path="/status/deployments.json", content=content)
        assert written["branch"] == "pilothouse/status"
        released = await call(mcp, "release_lock", path="/status/deployment.lock")
        assert released["held"] is False

        again = await call(mcp, "read_file", path="/status/deployments.json")
        assert (again["content"], again["branch"]) == (content, "pilothouse/status")
    assert (await staffed.committed("pilothouse/status"))[
        "status/deployments.json"
    ] == content.encode()
    main = (await staffed.committed("main"))["status/deployments.json"]
    assert main == FILES["status/deployments.json"].encode()


async def test_a_write_is_a_commit_by_the_agents_name_made_once_for_an_idempotency_key(
    desk: Desk,
) -> None:
    key = desk.key("files:read", "files:write")
    async with desk.session(key.token) as mcp:
        first = await call(
            mcp, "write_file", path="/status/a.json", content="1", idempotency_key="one"
        )
        await call(mcp, "write_file", path="/status/a.json", content="2")
        repeated = await call(
            mcp, "write_file", path="/status/a.json", content="1", idempotency_key="one"
        )
        other = await call(
            mcp, "write_file", path="/status/a.json", content="3", idempotency_key="one"
        )
        await call(mcp, "write_file", path="/status/a.json", content="2")
        unchanged = await call(mcp, "write_file", path="/status/a.json", content="2")
        await call(mcp, "copy_file", source="/docs/runbook.md", destination="/status/b.md")
        moved = await call(
            mcp, "move_file", source="/status/b.md", destination="/status/c.md",
            idempotency_key="move",
        )  # fmt: skip
        again = await call(
            mcp, "move_file", source="/status/b.md", destination="/status/c.md",
            idempotency_key="move",
        )  # fmt: skip
        await call(mcp, "delete_file", path="/status/a.json")
    assert first["changed"] and not repeated["changed"] and not unchanged["changed"]
    assert first["revision"] == repeated["revision"] != other["revision"]
    assert other["changed"], "another content is another operation"
    assert moved["revision"] == again["revision"] and moved["changed"] and not again["changed"]
    assert set(await desk.committed("pilothouse/status")) == {"status/c.md"}
    commit = await asyncio.to_thread(desk.mirrors.commit, desk.repository, first["revision"])
    assert (commit.author_name, commit.author_email) == (
        "Claude Code",
        f"{key.key.id}@agents.invalid",
    )
    assert commit.committer_email == "pilothouse@localhost"


async def test_two_writers_at_once_lose_nothing(desk: Desk) -> None:
    token = desk.key("files:write").token

    async def write(number: int) -> None:
        async with desk.session(token) as mcp:
            await call(mcp, "write_file", path=f"/status/n{number}.json", content="{}")

    await asyncio.gather(*(write(number) for number in range(5)))
    assert set(await desk.committed("pilothouse/status")) == {f"status/n{n}.json" for n in range(5)}


async def test_what_a_key_was_not_given_is_refused(desk: Desk) -> None:
    reader = desk.key("files:read", "cluster:read")
    narrowed = desk.key("files:read", "files:write", tools=("read_file", "write_file"))
    async with desk.session(reader.token) as mcp:
        offered = {tool.name for tool in (await mcp.list_tools()).tools}
        assert offered == {"list_files", "read_file", "rag_query", "lock_status", "exec_shell"}
        for tool in TOOLS.keys() - offered:
            assert "may not call" in await refusal(mcp, tool)
        deploy = await refusal(mcp, "exec_shell", command="kubectl apply -f manifests/")
        assert "cluster:deploy" in deploy
        assert "no kubeconfig" in await refusal(mcp, "exec_shell", command="kubectl get pods")
        shell = await refusal(mcp, "exec_shell", command="cat /etc/passwd; kubectl get pods")
        assert "kubectl logs -l app=NAME" in shell
        assert "Secret" in await refusal(mcp, "read_file", path="/manifests/secret.yaml")
        found = await call(mcp, "rag_query", query="canary 4711 word")
        assert "canary" not in json.dumps(found["passages"])
        for path in ("/../etc/passwd", "/.git/config", "//x", "/a\nb"):
            assert "refused" in await refusal(mcp, "read_file", path=path)
    async with desk.session(narrowed.token) as mcp:
        assert {tool.name for tool in (await mcp.list_tools()).tools} == {"read_file", "write_file"}
        for path in ("/manifests/deployment.yaml", "/pipeline.yaml", "/status/../manifests/x"):
            assert "ToolRefused" in await refusal(mcp, "write_file", path=path, content="x")
        outside = await refusal(mcp, "write_file", path="/manifests/x.yaml", content="x")
        assert "below /status/ only" in outside
        own = await refusal(mcp, "write_file", path="/status/runs/x.json", content="x")
        assert "itself" in own
    assert (await desk.head("pilothouse/status")) == ""


async def test_no_key_a_wrong_one_an_expired_one_and_a_revoked_one_stay_outside(desk: Desk) -> None:
    live = desk.key("files:read")
    expired = desk.key("files:read", lifetime=timedelta(seconds=-1))
    other = live.token[:-12] + "A" * 3 + live.token[-9:]
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    async with httpx2.AsyncClient() as http:
        for path in ("/mcp", "/storage-for-agents/"):
            for token in ("", "x", other, expired.token, "phk_k000000000000_x_00000000"):
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                answer = await http.post(desk.url + path, json=body, headers=headers)
                assert answer.status_code == 401, (path, token)
        healthy = await http.get(f"{desk.url}/healthz")
        assert healthy.json() == {"status": "ok"}
    async with desk.session(live.token) as mcp:
        await call(mcp, "list_files")
        desk.keys.revoke(live.key.id)
        with pytest.raises(MCPError):
            await mcp.call_tool("list_files", {})


async def test_foreign_hosts_and_origins_and_large_bodies_are_refused(desk: Desk) -> None:
    headers = {
        "Authorization": f"Bearer {desk.key('files:read').token}",
        "Accept": "application/json, text/event-stream",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    async with httpx2.AsyncClient(headers=headers) as http:
        rebound = await http.post(f"{desk.url}/mcp", json=body, headers={"Host": "evil.example"})
        assert rebound.status_code == 421
        browser = {"Origin": "https://evil.example"}
        assert (await http.post(f"{desk.url}/mcp", json=body, headers=browser)).status_code == 403
        large = {**body, "params": {"x": "y" * (3 * 1024 * 1024)}}
        assert (await http.post(f"{desk.url}/mcp", json=large)).status_code == 413


async def test_a_lock_is_one_keys_at_a_time_and_ends_with_its_lease(staffed: Desk) -> None:
    mine, theirs = staffed.key("locks:write"), staffed.key("locks:write")
    path = "/status/report.json"
    async with staffed.session(mine.token) as first, staffed.session(theirs.token) as second:
        held = await call(first, "acquire_lock", path=path, lease_seconds=5)
        again = await call(first, "acquire_lock", path=path, lease_seconds=5)
        assert (held["held"], held["fencing"], again["fencing"]) == (True, 1, 1)
        # The first says nothing more, as if it had crashed: its lease ends, the next one has it.
        waiting = await call(second, "acquire_lock", path=path, lease_seconds=60)
        if not waiting["held"]:
            waiting = await call(second, "acquire_lock", path=path, lease_seconds=60)
        assert (waiting["held"], waiting["fencing"]) == (True, 2)
        status = await call(first, "lock_status", path=path)
        assert (status["held"], status["phase"]) == (False, "ended")
        assert status["holder"].endswith(theirs.key.id)
        other = await call(first, "release_lock", path=path)
        assert other["held"] is False
        assert (await call(second, "lock_status", path=path))["held"] is True
        await call(second, "release_lock", path=path)


async def test_a_lock_waits_for_a_deployment_that_holds_the_environment(
    staffed: Desk, worker: Temporal
) -> None:
    key = staffed.key("locks:write")
    slug = staffed.repository.slug
    async with staffed.session(key.token) as mcp:
        await call(mcp, "acquire_lock", path="/status/deployment.lock")
        entity = worker.get_workflow_handle(names.environment_id(slug, "staging"))
        await entity.signal(
            names.SIGNAL_REQUEST_LOCK,
            LockRequest(holder="deployment/x", revision=(await staffed.head("main"))),
        )
        status = await call(mcp, "lock_status")
        assert (status["held"], status["queue"]) == (True, 1)
        await call(mcp, "release_lock", path="/status/deployment.lock")


async def test_a_lease_taken_before_a_hold_deploys_nothing(
    staffed: Desk, worker: Temporal, world: World
) -> None:
    slug = staffed.repository.slug
    async with staffed.session(staffed.key().token) as mcp:
        await call(mcp, "acquire_lock", path="/status/deployment.lock")
        entity = worker.get_workflow_handle(names.environment_id(slug, "staging"))
        claim = HoldClaim(by="lead@example.com", reason="an audit")
        await entity.signal(names.SIGNAL_HOLD, claim)
        answer = await call(mcp, "exec_shell", command="kubectl apply -f manifests/")
        assert (answer["outcome"], answer["exit_code"]) == ("on_hold", 1)
        assert "an audit" in answer["output"]
        assert world.applied == []
        await call(mcp, "release_lock", path="/status/deployment.lock")
        await entity.signal(names.SIGNAL_RESUME, claim)


async def test_a_deployment_that_waits_for_the_callers_own_lock_is_told_so(
    temporal: Temporal, staffed: Desk, world: World
) -> None:
    revision = await staffed.head("main")
    async with staffed.session(staffed.key().token) as mcp:
        await call(mcp, "acquire_lock", path="/status/deployment.lock")
        other = await driving.start(temporal, world, revision)
        await driving.phase(other, "lock")
        answer = await call(mcp, "exec_shell", command="kubectl apply -f manifests/")
        assert (answer["outcome"], answer["deployment"]) == ("running", other.id)
        assert "waits for your lock: release it" in answer["output"]
        await call(mcp, "release_lock", path="/status/deployment.lock")
        again = await call(mcp, "exec_shell", command="kubectl apply -f manifests/")
    assert again["outcome"] == (await other.result()).outcome == "deployed"


async def test_a_workspace_is_handed_to_a_person_and_no_key_takes_it_back(
    staffed: Desk, worker: Temporal
) -> None:
    slug = staffed.repository.slug
    entity = worker.get_workflow_handle(names.environment_id(slug, "staging"))
    to = {"workspace_id": "ws-model-api", "new_owner_email": "ann@example.org"}
    async with staffed.session(staffed.key("workspace:transfer").token) as mcp:
        for _ in range(2):
            answer = await call(mcp, "transfer_ownership", **to)
            assert answer["environments"] == [
                {"environment": "staging", "transferred": True, "owner": "ann@example.org",
                 "reason": ""}
            ]  # fmt: skip
        other = {**to, "new_owner_email": "bob@example.org"}
        [left] = (await call(mcp, "transfer_ownership", **other, environment="staging"))[
            "environments"
        ]
        assert (left["transferred"], left["owner"]) == (False, "ann@example.org")
        assert "a person must hand it on" in left["reason"]
        for arguments, why in (
            ({**to, "workspace_id": "ws-other"}, "another workspace"),
            ({**to, "new_owner_email": "ann"}, "no e-mail address"),
            ({**to, "environment": "production"}, "no such environment"),
        ):
            assert why in await refusal(mcp, "transfer_ownership", **arguments)
    state: EnvironmentState = await entity.query(names.QUERY_STATE, result_type=EnvironmentState)
    assert state.ownership and "Claude Code" in state.ownership.reason
    back = OwnershipClaim(by="ann@example.org", reason="done")
    await entity.signal(names.SIGNAL_TRANSFER_OWNERSHIP, back)


async def test_only_a_key_with_the_scope_ends_a_stage(
    staffed: Desk, worker: Temporal, world: World
) -> None:
    outside = Agent(trigger="webhook.pull_request", role="external")
    world.pipeline = Pipeline(agents={"validator": outside})
    revision = await staffed.head("main")
    run = names.pipeline_id(staffed.repository.slug, "push", revision)
    handle = await worker.start_workflow(
        names.PIPELINE_WORKFLOW,
        PipelineRequest(repository=staffed.repository, revision=revision, event="push"),
        id=run,
        task_queue=names.WORKFLOW_QUEUE,
        result_type=PipelineResult,
    )
    word = json.dumps({"revision": revision, "event": "push", "decision": "pass"})
    async with staffed.session(staffed.key("files:read", "files:write").token) as mcp:
        for path in ("/status/validated.json", "/status/VALIDATED.json"):
            said = await refusal(mcp, "write_file", path=path, content=word)
            assert "emit:validated" in said
        said = await refusal(
            mcp, "copy_file", source="/docs/runbook.md", destination="/status/validated.json"
        )
        assert "emit:validated" in said
    emitter = staffed.key("files:write", "emit:validated")
    async with staffed.session(emitter.token) as mcp:
        said = await refusal(mcp, "write_file", path="/status/tests_passed.json", content=word)
        assert "emit:tests_passed" in said
        said = await refusal(mcp, "write_file", path="/status/validated.json", content="{}")
        assert "revision" in said
        written = await call(mcp, "write_file", path="/status/validated.json", content=word)
    assert (written["emitted"], written["run"]) == ("validated", run)
    [stage] = (await handle.result()).stages
    assert (stage.outcome, stage.event) == ("passed", "status.validated")
    words = (emitter.key.id, "validated", names.short(written["revision"]))
    assert stage.summary == "{} said {}, in {}".format(*words)


async def test_without_temporal_files_go_on_and_locks_say_why_not(desk: Desk) -> None:
    async with desk.session(desk.key().token) as mcp:
        await call(mcp, "write_file", path="/status/a.json", content="{}")
        assert "TemporalUnavailable" in await refusal(mcp, "acquire_lock", path="/status/a.lock")
        said = await refusal(mcp, "exec_shell", command="kubectl apply -f manifests/")
        assert "TemporalUnavailable" in said


async def test_a_clone_and_an_import_become_commits(
    desk: Desk, git: GitServer, tmp_path: Path
) -> None:
    prompts = RepositoryRef(url=git.url("team/prompts"))
    git.create("team/prompts")
    seeding = GitMirrors(tmp_path / "prompts")

    def seed() -> None:
        revision = seeding.build_commit(
            prompts, base=None, changes={"validator.md": b"Look."}, message="Begin", when=WHEN
        )
        seeding.push(prompts, ref="refs/heads/main", revision=revision, expected=None)

    await asyncio.to_thread(seed)
    async with desk.session(desk.key().token) as mcp:
        cloned = await call(
            mcp, "git_clone", repo_url=prompts.url, workspace_path="/status/prompts"
        )
        assert (cloned["files"], cloned["left_out"]) == (1, 0)
        for url in (desk.repository.url, "https://example.com/x", "file:///etc"):
            said = await refusal(mcp, "git_clone", repo_url=url, workspace_path="/status/x")
            assert "clone_from" in said
        imported = await call(
            mcp, "import_url", url=f"{desk.url}/healthz", path="/status/imported.json"
        )
        assert imported["size"] == len(b'{"status":"ok"}')
        for url in ("http://169.254.169.254/", "https://10.0.0.1/x", "file:///etc/passwd"):
            said = await refusal(mcp, "import_url", url=url, path="/status/x.json")
            assert "refused" in said
        said = await refusal(mcp, "send_webhook", url="https://example.com/", payload={})
        assert "webhook_hosts" in said
    files = await desk.committed("pilothouse/status")
    assert files["status/prompts/validator.md"] == b"Look."
    assert files["status/imported.json"] == b'{"status":"ok"}'


async def test_a_webhook_is_signed_and_repeated_under_the_same_delivery(
    tmp_path: Path, git: GitServer
) -> None:
    got: list[tuple[str, str, bytes]] = []

    async def receive(request: Request) -> Response:
        body = await request.body()
        names = ("x-pilothouse-signature-256", "x-pilothouse-delivery")
        signature, delivery = (request.headers[name] for name in names)
        got.append((signature, delivery, body))
        return Response(status_code=202)

    [port] = free_ports(1)
    routes = [Route("/hook", receive, methods=["POST"])]
    web = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=port, log_config=None))
    receiving = asyncio.create_task(web.serve())
    secret = SecretStr("a secret of the receiver")
    more = {"webhook_hosts": (f"127.0.0.1:{port}",), "webhook_secret": secret}
    async with (
        serving(tmp_path, git, "127.0.0.1:1", "streamable-http", **more) as desk,
        desk.session(desk.key("web:send").token) as mcp,
    ):
        for _ in range(2):
            sent = await call(
                mcp,
                "send_webhook",
                url=f"http://127.0.0.1:{port}/hook",
                payload={"alert": "latency"},
                idempotency_key="alert-1",
            )
            assert (sent["status"], sent["delivered"]) == (202, True)
        elsewhere = f"http://127.0.0.1:{port + 1}/hook"
        assert "webhook_hosts" in await refusal(mcp, "send_webhook", url=elsewhere, payload={})
    web.should_exit = True
    await receiving
    (signature, delivery, body), again = got
    assert (signature, delivery, body) == again
    expected = hmac.digest(secret.get_secret_value().encode(), body, "sha256").hex()
    assert (signature, json.loads(body)) == (f"sha256={expected}", {"alert": "latency"})


async def test_every_call_leaves_one_line_without_contents(desk: Desk) -> None:
    key = desk.key("files:read", "files:write")
    with structlog.testing.capture_logs() as logs:
        async with desk.session(key.token) as mcp:
            await call(mcp, "write_file", path="/status/a.json", content="canary-0815")
            await refusal(mcp, "read_file", path="/status/nothing.json")
            await refusal(mcp, "send_webhook", url="https://example.com/", payload={})
    lines = [line for line in logs if line["event"] == "workspace.call"]
    assert [(line["tool"], line["outcome"]) for line in lines] == [
        ("write_file", "done"),
        ("read_file", "ToolRefused"),
        ("send_webhook", "ToolRefused"),
    ]
    assert all(line["key"] == key.key.id for line in lines)
    assert lines[0]["revision"] == (await desk.head("pilothouse/status"))
    assert "canary" not in json.dumps(logs, default=str) and "a.json" not in json.dumps(lines)


async def test_an_old_client_connects_over_sse(tmp_path: Path, git: GitServer) -> None:
    async with serving(tmp_path, git, "127.0.0.1:1", "sse") as desk:
        key = desk.key("files:read")
        headers = {"Authorization": f"Bearer {key.token}"}
        for path in ("/sse", "/storage-for-agents/"):
            async with Client(sse_client(desk.url + path, headers=headers), mode="legacy") as mcp:
                assert (await call(mcp, "list_files"))["folders"] == ["docs", "manifests", "status"]
        async with Client(sse_client(f"{desk.url}/sse", headers=headers), mode="legacy") as mcp:
            await call(mcp, "list_files")
            desk.keys.revoke(key.key.id)
            with structlog.testing.capture_logs() as logs, pytest.raises((MCPError, TimeoutError)):
                await asyncio.wait_for(mcp.call_tool("list_files", {}), 5)
            assert [line for line in logs if line["event"] == "workspace.call"] == []


async def test_one_caller_is_served_over_stdio(tmp_path: Path, git: GitServer) -> None:
    async with serving(tmp_path, git, "127.0.0.1:1", "streamable-http") as desk:
        (tmp_path / "workspaces.yaml").write_text(
            f"workspaces: {{ws-model-api: {{url: {desk.repository.url}}}}}\nkeys_file: keys.json\n",
            encoding="utf-8",
        )
        program = StdioServerParameters(
            command=sys.executable,
            args=[
                *("-c", "from pilothouse.cli.workspace import app; app()"),
                *("serve", "--transport", "stdio"),
                *("--workspaces", str(tmp_path / "workspaces.yaml")),
            ],
            env=inherited_environment(
                PILOTHOUSE_WORKSPACE_KEY=desk.key("files:read", environment="").token,
                PILOTHOUSE_DATA_DIR=str(tmp_path / "data"),
                PYTHONPATH=str(Path(__file__).parents[2]),
            ),
        )
        async with Client(stdio_client(program)) as mcp:
            offered = {tool.name for tool in (await mcp.list_tools()).tools}
            assert offered == {"list_files", "read_file", "rag_query", "lock_status"}
            listing = await call(mcp, "list_files", path="/manifests")
            assert listing["files"] == ["deployment.yaml", "secret.yaml"]


async def test_a_look_at_the_cluster_is_bound_to_the_keys_namespace(
    tmp_path: Path, git: GitServer, admin_kubeconfig: Path, namespace: str
) -> None:
    target = {"staging": Target(namespace=namespace, kubeconfig=admin_kubeconfig)}
    async with (
        serving(tmp_path, git, "127.0.0.1:1", "streamable-http", environments=target) as desk,
        desk.session(desk.key("cluster:read").token) as mcp,
    ):
        none = await call(mcp, "exec_shell", command="kubectl get pods")
        assert (none["output"], none["exit_code"]) == (
            f"No resources found in {namespace} namespace.",
            0,
        )
        maps = await call(mcp, "exec_shell", command="kubectl get cm -o name")
        assert maps["output"] == "configmap/kube-root-ca.crt"
        logs = await call(mcp, "exec_shell", command="kubectl logs -l app=model-api")
        assert (logs["exit_code"], logs["namespace"]) == (0, namespace)
        said = await refusal(mcp, "exec_shell", command="kubectl get pods -n kube-system")
        assert "one namespace" in said


async def test_our_own_agents_have_its_tools_without_a_word_in_git(
    desk: Desk, tmp_path: Path
) -> None:
    """The seed's bare tool names: only the worker's settings know where the server is."""
    key = desk.key("files:read", "files:write")
    settings = Settings(
        workspace_url=f"{desk.url}/mcp",
        mcp_tokens={"workspace": McpToken(value=SecretStr(key.token), origin=desk.url)},
    )
    store = ContentStore(tmp_path / "store")
    clients = McpClients(McpAccess.from_settings(settings))
    activities = ToolActivities(store=store, clients=clients, workspace=our_server(settings))
    wanted = ToolListRequest(allowed=("read_file", "write_file", "rag_query"))
    listed = await ActivityEnvironment().run(activities.list_tools, wanted)
    assert [each.name for each in listed.tools] == [
        "workspace__read_file",
        "workspace__rag_query",
        "read_more",
    ]
    assert [(each.tool, each.reason) for each in listed.left_out] == [("write_file", "ceiling")]
    request = ToolCallRequest(
        spec=listed.tools[0],
        arguments=store.put(b'{"path": "/manifests/deployment.yaml"}'),
        key="agent/run/1",
        evidence="E1",
    )
    result = await ActivityEnvironment().run(activities.call_tool, request)
    assert not result.is_error
    assert "replicas: 3" in store.get(result.text).decode()
    assert desk.url not in listed.model_dump_json() + result.model_dump_json()
    await clients.aclose()
