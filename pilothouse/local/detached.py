"""Processes that outlive the command that started them, found again by their pid file.

A pid alone is no identity: the kernel gives it to a stranger once its owner is gone. The pid file
therefore also holds when the process began, and nothing is signalled unless both agree.
"""

import asyncio
import json
import os
import signal
import subprocess  # the arguments are ours; no shell
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from pilothouse.local.private_files import write_private
from pilothouse.local.processes import GRACE_SECONDS, PROBE_SECONDS, LocalProcess, signal_group
from pilothouse.models.errors import PermanentError

_log = structlog.get_logger()

_unreaped: set[subprocess.Popen[bytes]] = set()
"""Our own children that may still run. Whichever object ends one, we must collect what is left of
it, or it stays a zombie as long as we live."""


@dataclass(frozen=True)
class ProcessIdentity:
    """One process, told apart from every other that ever had or will have its pid."""

    pid: int
    began: str
    """When it began, as the kernel says it; opaque, only good for comparison."""

    @property
    def alive(self) -> bool:
        """Whether this very process runs now; a zombie does not."""
        return _began(self.pid) == self.began


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of a running process; None if there is none with this pid."""
    began = _began(pid)
    return None if began is None else ProcessIdentity(pid, began)


class DetachedProcess(LocalProcess):
    """A process in its own session that outlives us.

    Any later object with the same `pid_file`, in any process, controls it: `running`, `stop()`.

    Args:
        name: for people, in errors and logs.
        argv: program and arguments, run without a shell. Never a secret.
        log: receives stdout and stderr.
        pid_file: pid and begin of the process, as JSON, mode 0600; removed by `stop()`.
        env: the whole environment of the process; None hands on ours.
        cwd: its working directory; None is ours.
        grace_seconds: from SIGTERM to SIGKILL.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        pid_file: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        super().__init__(name, argv, log=log, env=env, cwd=cwd, grace_seconds=grace_seconds)
        self._pid_file = pid_file
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process of the pid file is alive now."""
        _reap()
        identity = self._read()
        return identity is not None and identity.alive

    @property
    def pid(self) -> int | None:
        """The pid in the pid file."""
        identity = self._read()
        return None if identity is None else identity.pid

    async def start(self) -> None:
        """Start the process and write its pid file; returns before it is ready.

        Raises:
            PermanentError: `LocalServiceFailed`, it already runs or the program cannot be run.
        """
        if self.running:
            raise PermanentError("LocalServiceFailed", f"{self.name} already runs as {self.pid}")
        self._child = self._spawn()
        _unreaped.add(self._child)
        self._record(self._child)
        _log.debug("process started", process=self.name, pid=self._child.pid, detached=True)

    async def stop(self) -> None:
        """SIGTERM, SIGKILL after the grace, then remove the pid file. Idempotent.

        A pid file whose process is gone is only removed, whoever has its pid now.
        """
        identity = self._read()
        if identity is not None and identity.alive:
            signal_group(identity.pid, signal.SIGTERM)
            if not await self._gone_within(identity, self._grace_seconds):
                _log.warning("process killed", process=self.name, grace_seconds=self._grace_seconds)
                signal_group(identity.pid, signal.SIGKILL)
                await self._gone_within(identity, self._grace_seconds)
        _reap()
        self._pid_file.unlink(missing_ok=True)

    async def _gone_within(self, identity: ProcessIdentity, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while identity.alive:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(PROBE_SECONDS)
        return True

    def _spawn(self) -> subprocess.Popen[bytes]:
        # Not asyncio's: closing the event loop would kill the process.
        sink = self._open_log()
        try:
            return subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise self._cannot_run(error) from error
        finally:
            os.close(sink)

    def _ended(self) -> str:
        code = None if self._child is None else self._child.returncode
        return "ended" if code is None else f"ended with exit code {code}"

    def _record(self, child: subprocess.Popen[bytes]) -> None:
        identity = identify(child.pid)
        if identity is None:
            # Already over: wait_until_ready says so, with the log.
            child.wait()
            self._pid_file.unlink(missing_ok=True)
            return
        try:
            write_private(self._pid_file, json.dumps(asdict(identity)))
        except OSError:
            # Nobody could ever find it again.
            signal_group(child.pid, signal.SIGKILL)
            child.wait()
            raise

    def _read(self) -> ProcessIdentity | None:
        try:
            text = self._pid_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            fields = json.loads(text)
            return ProcessIdentity(int(fields["pid"]), str(fields["began"]))
        except (ValueError, KeyError, TypeError):
            raise PermanentError(
                "LocalServiceFailed",
                f"{self._pid_file} is no pid file; stop {self.name} by hand and remove the file",
            ) from None


def _reap() -> None:
    for child in [child for child in _unreaped if child.poll() is not None]:
        _unreaped.discard(child)


def _began(pid: int) -> str | None:
    """When the process with this pid began; None if there is none or it is a zombie."""
    if sys.platform.startswith("linux"):
        return _began_by_proc(pid)
    return _began_by_ps(pid)


def _began_by_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name, in brackets, and may itself hold brackets and spaces.
    fields = stat.rpartition(")")[2].split()
    state, ticks = fields[0], fields[19]
    if state in {"Z", "X"}:
        return None
    # Ticks count from boot, so the boot belongs to the identity.
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{ticks}"


def _began_by_ps(pid: int) -> str | None:
    answer = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, began = answer.stdout.strip().partition(" ")
    return None if not began or state.startswith("Z") else began.strip()
