"""The workspace server as a process: put together, serve, and stop cleanly when asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from pydantic import SecretStr

from pilothouse.clients.fetch import Fetcher
from pilothouse.clients.git import GitMirrors
from pilothouse.clients.git.operations import OperationMirrors
from pilothouse.clients.serving import bound, serve
from pilothouse.clients.temporal.connection import TemporalConnection
from pilothouse.models.errors import PermanentError
from pilothouse.workspace.configuration import WorkspaceConfiguration
from pilothouse.workspace.gate import Gate
from pilothouse.workspace.keys import KeyRing
from pilothouse.workspace.search import SearchIndex
from pilothouse.workspace.server import (
    DELETE,
    OUTSIDE,
    READ,
    WRITE,
    Transport,
    WorkspaceServer,
    http_app,
)
from pilothouse.workspace.snapshots import Snapshots
from pilothouse.workspace.status_branch import StatusBranch
from pilothouse.workspace.tools.locking import LockingTools
from pilothouse.workspace.tools.outside import OutsideTools
from pilothouse.workspace.tools.ownership import OwnershipTools
from pilothouse.workspace.tools.reading import ReadingTools
from pilothouse.workspace.tools.running import RunningTools
from pilothouse.workspace.tools.writing import WritingTools
from pilothouse.workspace.workflows import TemporalRequests

_log = structlog.get_logger()


@asynccontextmanager
async def workspace_server(
    configuration: WorkspaceConfiguration,
    *,
    git_credentials: dict[str, SecretStr] | None = None,
    temporal: TemporalConnection | None = None,
    own_key: SecretStr | None = None,
) -> AsyncIterator[WorkspaceServer]:
    """Put a server together from its settings; nothing is contacted yet.

    Args:
        configuration: what is served, and to whom.
        git_credentials: host -> Authorization header, for the workspaces' own repositories only.
        temporal: where Temporal is, if not where the `temporal` CLI looks.
        own_key: stdio: the key of the one caller; None: HTTP, each caller brings one.
    """
    gate = Gate(
        KeyRing(configuration.keys_file),
        configuration.workspaces,
        calls_per_minute=configuration.calls_per_minute,
        own_key=own_key,
    )
    mirrors = OperationMirrors(configuration.mirrors_dir, credentials=git_credentials)
    # Repositories that agents name are cloned without any credential of ours.
    clones = GitMirrors(configuration.mirrors_dir / "clones")
    snapshots, index = Snapshots(mirrors), SearchIndex()
    requests = TemporalRequests(temporal or TemporalConnection())
    wait = configuration.wait_seconds
    reading = ReadingTools(snapshots, index)
    writing = WritingTools(snapshots, StatusBranch(mirrors), requests)
    locking = LockingTools(snapshots, requests, wait_seconds=wait)
    running = RunningTools(snapshots, requests, wait_seconds=wait)
    fetcher = Fetcher(allow_loopback=configuration.allow_loopback)
    outside = OutsideTools(writing, fetcher, clones)

    server = WorkspaceServer(gate, over_http=own_key is None)
    server.offer(
        [reading.list_files, reading.read_file, reading.rag_query, locking.lock_status], READ
    )
    server.offer([writing.write_file, writing.copy_file], WRITE)
    server.offer([locking.acquire_lock, locking.release_lock], WRITE)
    server.offer([writing.move_file, writing.delete_file], DELETE)
    server.offer([running.exec_shell, outside.git_clone, outside.import_url], OUTSIDE)
    server.offer([outside.send_webhook, OwnershipTools(requests).transfer_ownership], OUTSIDE)
    try:
        yield server
    finally:
        index.close()


async def serve_http(
    configuration: WorkspaceConfiguration,
    transport: Transport,
    *,
    git_credentials: dict[str, SecretStr] | None = None,
    temporal: TemporalConnection | None = None,
) -> None:
    """Serve over HTTP until SIGTERM or SIGINT, then finish what is in flight and return.

    Raises:
        PermanentError: `InvalidRequest`, the address cannot be bound.
    """
    with bound(configuration.host, configuration.port) as listener:
        async with workspace_server(
            configuration, git_credentials=git_credentials, temporal=temporal
        ) as server:
            host, port = listener.getsockname()[:2]
            _log.info("workspace.listening", host=host, port=port, transport=transport)
            await serve(http_app(server, configuration, transport), listener)
    _log.info("workspace.stopped")


async def serve_stdio(
    configuration: WorkspaceConfiguration,
    own_key: SecretStr,
    *,
    git_credentials: dict[str, SecretStr] | None = None,
    temporal: TemporalConnection | None = None,
) -> None:
    """Serve one caller over standard input and output until it closes them.

    Raises:
        PermanentError: `InvalidRequest`, the key is not live.
    """
    if KeyRing(configuration.keys_file).verify(own_key.get_secret_value()) is None:
        raise PermanentError(
            "InvalidRequest", "PILOTHOUSE_WORKSPACE_KEY is no live key of this server"
        )
    async with workspace_server(
        configuration, git_credentials=git_credentials, temporal=temporal, own_key=own_key
    ) as server:
        await server.run_stdio_async()
