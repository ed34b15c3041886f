"""The embedded Temporal, and what outsiders say to it, against the real server."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from pilothouse.clients.temporal.connection import TemporalConnection, connect
from pilothouse.clients.temporal.search import REPOSITORY
from pilothouse.clients.temporal.starter import WorkflowStarter
from pilothouse.local.temporal_server import TemporalServer, find_temporal
from pilothouse.models import names
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.repository import RepositoryEvent, RepositoryRef

APP = RepositoryRef(url="https://git.example.com/acme/app.git")
SLUG = "git.example.com/acme/app"
DETACH = """
import asyncio, pathlib, sys
from pilothouse.local.temporal_server import TemporalServer
server = TemporalServer(pathlib.Path(sys.argv[1]), pid_file=pathlib.Path(sys.argv[2]))
asyncio.run(server.start())
print(server.address)
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TemporalServer]:
    async with TemporalServer(tmp_path / "temporal") as server:
        yield server


async def client_of(server: TemporalServer) -> Client:
    return await connect(TemporalConnection(address=server.address))


async def signals_of(client: Client) -> list[str]:
    history = await client.get_workflow_handle(names.repository_id(SLUG)).fetch_history()
    received = [
        event.workflow_execution_signaled_event_attributes
        for event in history.events
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]
    assert {each.signal_name for each in received} <= {names.SIGNAL_REPOSITORY_EVENT}
    events = [
        (await client.data_converter.decode(each.input.payloads, [RepositoryEvent]))[0]
        for each in received
    ]
    return [event.delivery for event in events]


async def test_an_event_starts_the_repositorys_workflow_once_and_signals_it_each_time(
    server: TemporalServer,
) -> None:
    client = await client_of(server)
    starter = WorkflowStarter(client)
    await starter.send_event(APP, RepositoryEvent(delivery="d-1"))
    await starter.send_event(APP, RepositoryEvent(delivery="d-2"))

    described = await client.get_workflow_handle(names.repository_id(SLUG)).describe()
    assert described.workflow_type == names.REPOSITORY_WORKFLOW
    assert described.task_queue == names.WORKFLOW_QUEUE
    assert described.typed_search_attributes[REPOSITORY] == SLUG
    assert SLUG in (await described.static_summary() or "")
    assert await signals_of(client) == ["d-1", "d-2"]


async def test_runs_survive_kill_9_of_the_server(server: TemporalServer) -> None:
    await WorkflowStarter(await client_of(server)).send_event(APP, RepositoryEvent(delivery="d-1"))
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.stop()
    await server.start()
    client = await client_of(server)
    await WorkflowStarter(client).send_event(APP, RepositoryEvent(delivery="d-2"))
    assert await signals_of(client) == ["d-1", "d-2"]


async def test_every_search_attribute_is_registered_and_runs_are_kept_for_a_month(
    server: TemporalServer,
) -> None:
    client = await client_of(server)
    for name in names.SEARCH_ATTRIBUTES:
        assert (await client.count_workflows(f'{name} = "x"')).count == 0
    namespace = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace="default")
    )
    assert namespace.config.workflow_execution_retention_ttl.ToTimedelta().days == 30


async def test_the_web_ui_answers_on_loopback(server: TemporalServer) -> None:
    host, _, port = server.ui_url.removeprefix("http://").partition(":")
    assert host == "127.0.0.1"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.0 200")


async def test_a_server_with_a_pid_file_outlives_its_starter_and_is_stopped_by_another(
    tmp_path: Path,
) -> None:
    pid_file = tmp_path / "temporal.pid"
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DETACH, tmp_path, pid_file, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await starter.communicate()
    assert starter.returncode == 0
    connection = TemporalConnection(address=output.decode().split()[-1])
    try:
        await connect(connection)
    finally:
        await TemporalServer(tmp_path, pid_file=pid_file).stop()
    with pytest.raises(TemporaryError):
        await connect(connection)


async def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PermanentError, match=f"port {port} of 127.0.0.1 is in use"):
            await TemporalServer(tmp_path, port=port).start()
    assert not list(tmp_path.iterdir())


async def test_a_server_that_goes_away_is_a_temporary_error(tmp_path: Path) -> None:
    async with TemporalServer(tmp_path / "temporal") as server:
        starter = WorkflowStarter(await client_of(server))
        await starter.send_event(APP, RepositoryEvent(delivery="d-1"))
    with pytest.raises(TemporaryError) as caught:
        await starter.send_event(APP, RepositoryEvent(delivery="d-2"))
    assert caught.value.type == "TemporalUnavailable"
    assert isinstance(caught.value.__cause__, RPCError)


async def test_the_program_is_found_and_says_its_version() -> None:
    program = await find_temporal()
    assert program.path.is_file()
    assert program.version[0].isdigit()
