"""Servers of this machine as child processes that leave nothing behind.

A `ManagedProcess` lives as long as we do: it ends with `stop()`, and with us, even when we are
killed. A process that outlives its starter is `pilothouse.local.detached.DetachedProcess`; both
share what is here: a log file, waiting until ready, and an error that quotes the log.
"""

import asyncio
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from pilothouse.local.orphans import tied_to
from pilothouse.models.errors import PermanentError, TemporaryError

TAIL_LINES = 20
TAIL_BYTES = 4000
PROBE_SECONDS = 0.05
"""Between two looks whether a server is ready."""
GRACE_SECONDS = 10.0
"""From SIGTERM to SIGKILL, unless the process says otherwise."""

_log = structlog.get_logger()

Probe = Callable[[], Awaitable[bool]]
"""Answers whether the server serves; may raise TimeoutError for "not yet"."""


class LocalProcess(ABC):
    """A server process with its own process group and a log file.

    Args:
        name: for people, in errors and logs.
        argv: program and arguments, run without a shell. Never a secret: others can list it.
        log: receives stdout and stderr, appended; made with mode 0600.
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
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.name = name
        self.log = log
        self._argv = tuple(argv)
        self._env = None if env is None else dict(env)
        self._cwd = cwd
        self._grace_seconds = grace_seconds
        self._log_start = 0

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether the process is alive now."""

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """Its process id while it is known."""

    @abstractmethod
    async def start(self) -> None:
        """Start the process; returns before it is ready.

        Raises:
            PermanentError: `LocalServiceFailed`, it already runs or the program cannot be run.
        """

    @abstractmethod
    async def stop(self) -> None:
        """SIGTERM, SIGKILL after the grace. Idempotent; quiet when it has already ended."""

    @abstractmethod
    def _ended(self) -> str:
        """How the process ended, for an error message."""

    async def wait_until_ready(self, probe: Probe, *, timeout_seconds: float) -> float:
        """Wait until `probe` says yes; returns the seconds it took.

        Raises:
            PermanentError: `LocalServiceFailed`, the process ended first.
            TemporaryError: `LocalServiceFailed`, the time is up; the process is left running.
        """
        started = time.monotonic()
        while (left := started + timeout_seconds - time.monotonic()) > 0:
            if not self.running:
                raise PermanentError(
                    "LocalServiceFailed",
                    f"{self.name} {self._ended()} before it was ready; {self._quote_log()}",
                )
            if await self._ask(probe, left):
                return time.monotonic() - started
            await asyncio.sleep(PROBE_SECONDS)
        raise TemporaryError(
            "LocalServiceFailed",
            f"{self.name} was not ready within {timeout_seconds:g} s; {self._quote_log()}",
        )

    async def _ask(self, probe: Probe, seconds: float) -> bool:
        """One answer of the probe; no, if it takes too long or the process ends meanwhile."""
        deadline = time.monotonic() + seconds
        asking = asyncio.ensure_future(probe())
        try:
            while not asking.done():
                # A stranger on our port may take the connection and say nothing, while ours ended.
                if not self.running or time.monotonic() > deadline:
                    return False
                await asyncio.wait({asking}, timeout=PROBE_SECONDS)
            return asking.result()
        except TimeoutError:
            return False
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    def tail(self) -> str:
        """The last lines that this start of the process wrote, at most 20 lines and 4000 bytes."""
        try:
            with self.log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start, end - TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-TAIL_LINES:])

    def _quote_log(self) -> str:
        tail = self.tail()
        return f"the end of {self.log}:\n{tail}" if tail else f"it wrote nothing to {self.log}"

    def _open_log(self) -> int:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        sink = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._log_start = os.fstat(sink).st_size
        return sink

    def _cannot_run(self, error: OSError) -> PermanentError:
        return PermanentError(
            "LocalServiceFailed", f"cannot run {self._argv[0]} ({self.name}): {error.strerror}"
        )


class ManagedProcess(LocalProcess):
    """A process that lives as long as we do; also an async context manager.

    Start it from the thread that runs until the end, as a rule the main one: Linux ties the child
    to the *thread* that made it (see `orphans.tied_to`).
    """

    _process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether the process is alive now."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Its process id, from start to stop."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process; returns before it is ready.

        Raises:
            PermanentError: `LocalServiceFailed`, it already runs or the program cannot be run.
        """
        if self.running:
            raise PermanentError("LocalServiceFailed", f"{self.name} already runs as {self.pid}")
        sink = self._open_log()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=self._env,
                cwd=self._cwd,
                # Ctrl-C in a terminal goes to our group: we stop the children, in our order.
                process_group=0,
                preexec_fn=tied_to(os.getpid()),
            )
        except OSError as error:
            raise self._cannot_run(error) from error
        finally:
            os.close(sink)
        _log.debug("process started", process=self.name, pid=self.pid, log=str(self.log))

    async def wait(self) -> int:
        """Wait for the end by itself; returns the exit code, negative for a signal.

        Raises:
            PermanentError: `LocalServiceFailed`, it was never started.
        """
        if self._process is None:
            raise PermanentError("LocalServiceFailed", f"{self.name} was not started")
        return await self._process.wait()

    async def finish(
        self,
        *,
        timeout_seconds: float,
        report: Callable[[], None] = lambda: None,
        every_seconds: float = 1.0,
    ) -> str:
        """Wait for the end by itself; returns what it wrote. For commands, not servers.

        Args:
            timeout_seconds: how long it may take.
            report: called between, to show progress.
            every_seconds: between two calls of `report`.

        Raises:
            PermanentError: `LocalServiceFailed`, it ended with another exit code than 0.
            TemporaryError: `LocalServiceFailed`, the time is up; it still runs until `stop()`.
        """
        deadline = time.monotonic() + timeout_seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                code = await asyncio.wait_for(self.wait(), min(left, every_seconds))
            except TimeoutError:
                report()
                continue
            if code != 0:
                raise PermanentError(
                    "LocalServiceFailed", f"{self.name} {self._ended()}; {self._quote_log()}"
                )
            return self.log.read_bytes()[self._log_start :].decode(errors="replace")
        raise TemporaryError(
            "LocalServiceFailed",
            f"{self.name} did not end within {timeout_seconds:g} s; {self._quote_log()}",
        )

    async def stop(self) -> None:
        """SIGTERM, SIGKILL after the grace, for the whole group. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if process.returncode is None:
                signal_group(process.pid, signal.SIGTERM)
                await asyncio.wait_for(process.wait(), self._grace_seconds)
        except TimeoutError:
            _log.warning("process killed", process=self.name, grace_seconds=self._grace_seconds)
        finally:
            # Also when it ended by itself or we are cancelled: its children are in its group.
            signal_group(process.pid, signal.SIGKILL)
            await process.wait()

    def _ended(self) -> str:
        code = None if self._process is None else self._process.returncode
        if code is None:
            return "was not started"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

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


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group; quiet when the group is gone."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
