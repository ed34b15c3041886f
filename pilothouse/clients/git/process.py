"""One git process: its own group, a deadline, bounded output, and never left behind."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from git import Git

MAX_STDOUT = 64 * 1024 * 1024
MAX_STDERR = 16 * 1024
"""Bytes of complaint that are kept, from the end."""
TERMINATE_SECONDS = 2.0
"""How long Git may take to remove its lock files before it is killed."""
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Finished:
    """What a git process left."""

    code: int
    out: bytes
    error: str
    timed_out: bool = False
    overflowed: bool = False
    """It wrote more than we wanted to keep, and was ended for it."""


class GitProcess:
    """A running git process; leaving the `with` block ends it, whatever happened inside.

    Args:
        directory: where it runs.
        arguments: without the leading `git`. Fixed words of ours; outside values only after
            `--end-of-options` or `--`, and checked.
        environment: from `pilothouse.clients.git.environment`.
        stdin: a file to read from, `subprocess.PIPE`, or None for nothing.
        timeout: seconds until it is ended; None: it stays on this machine and its reader sets
            the pace.
    """

    def __init__(
        self,
        directory: Path,
        arguments: tuple[str, ...],
        *,
        environment: Mapping[str, str],
        stdin: IO[bytes] | int | None = None,
        timeout: float | None,
    ) -> None:
        # `as_process` because GitPython's own timeout finds children with `ps`, which small
        # images lack: a process group needs nothing.
        handle = Git(directory).execute(
            ["git", *arguments],
            istream=stdin,  # type: ignore[arg-type]  # Popen takes PIPE; GitPython names files only
            as_process=True,
            shell=False,
            env=environment,
            start_new_session=True,
        )
        assert isinstance(handle, Git.AutoInterrupt)
        process = handle.proc
        assert process is not None and process.stdout is not None and process.stderr is not None
        self._handle = handle  # it ends the process if nobody else does
        self._process: subprocess.Popen[bytes] = process
        self.stdout: IO[bytes] = process.stdout
        self.stdin: IO[bytes] | None = process.stdin
        self.timed_out = False
        self._ending = threading.Lock()
        self._complaint = _Drain(process.stderr, keep_last=MAX_STDERR)
        self._watchdog = None
        if timeout is not None:
            self._watchdog = threading.Timer(timeout, self._expire)
            self._watchdog.daemon = True
            self._watchdog.start()

    def finish(self) -> Finished:
        """Wait for the end, which the deadline bounds, and say how it was."""
        code = self._process.wait()
        error = self._complaint.result().decode(errors="replace")
        return Finished(code, b"", error, timed_out=self.timed_out)

    def end(self) -> None:
        """Ask it to end, then make it; with everything that it started. Idempotent."""
        with self._ending:
            if self._process.poll() is None:
                self._signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(TERMINATE_SECONDS)
            # Also after Git is gone: its transport may be the one that hangs.
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog.join()
        if self._process.poll() is None:
            self.end()
        self._complaint.result()
        self.stdout.close()
        if self.stdin is not None:
            # What Git did not want to read any more is lost on purpose.
            with suppress(BrokenPipeError):
                self.stdin.close()

    def _expire(self) -> None:
        self.timed_out = True
        self.end()


def run_git(
    directory: Path,
    arguments: tuple[str, ...],
    *,
    environment: Mapping[str, str],
    stdin: bytes | None = None,
    timeout: float,
    max_stdout: int = MAX_STDOUT,
) -> Finished:
    """Run one git command to its end; a non-zero code is an answer, not an exception."""
    source = subprocess.PIPE if stdin is not None else None
    with GitProcess(
        directory, arguments, environment=environment, stdin=source, timeout=timeout
    ) as process:
        answer = _Drain(process.stdout, keep_first=max_stdout, on_overflow=process.end)
        if process.stdin is not None and stdin is not None:
            # If Git ends early, its exit code and its words say why.
            with suppress(BrokenPipeError):
                process.stdin.write(stdin)
                process.stdin.close()
        out = answer.result()
        finished = process.finish()
    return Finished(
        finished.code, out, finished.error, finished.timed_out, overflowed=answer.overflowed
    )


class _Drain:
    """Reads a pipe to its end in a thread, so that Git never waits, and keeps a bounded part."""

    def __init__(
        self,
        pipe: IO[bytes],
        *,
        keep_first: int | None = None,
        keep_last: int | None = None,
        on_overflow: Callable[[], None] | None = None,
    ) -> None:
        self._pipe = pipe
        self._keep_first = keep_first
        self._keep_last = keep_last
        self._on_overflow = on_overflow
        self._kept = bytearray()
        self.overflowed = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def result(self) -> bytes:
        """Wait for the end of the pipe and return what was kept."""
        self._thread.join()
        return bytes(self._kept)

    def _read(self) -> None:
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), _CHUNK):
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        if self.overflowed:
            return
        self._kept += chunk
        if self._keep_last is not None:
            del self._kept[: -self._keep_last]
        if self._keep_first is not None and len(self._kept) > self._keep_first:
            self.overflowed = True
            self._kept.clear()
            if self._on_overflow is not None:
                self._on_overflow()
