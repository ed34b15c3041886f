"""Runs a repository's own test commands in a clean export of one commit, with limits.

This bounds accidents: a cleared environment, its own process group, limits on time, memory, file
size and output. It is no wall against a hostile commit: whoever can push to the default branch
runs code here, as in any build service. Pull requests never get this far.
"""

import asyncio
import os
import resource
import shlex
import signal
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from pilothouse.gitops.redaction import Redactor
from pilothouse.models.errors import PermanentError
from pilothouse.models.runs import CommandResult, TestReport

MAX_OUTPUT = 4000
"""Characters of output that are kept, from the end: failures speak last."""
MEMORY_LIMIT = 2 * 1024**3
FILE_LIMIT = 256 * 1024**2
HEARTBEAT_SECONDS = 2.0


async def run_commands(
    files: Mapping[str, bytes],
    commands: tuple[str, ...],
    *,
    timeout_seconds: float,
    scratch: Path,
    beat: Callable[[str], None],
    executables: Collection[str] = (),
) -> TestReport:
    """Run commands in order, each in the same export; stops at the first that fails.

    Args:
        files: path in the repository -> content; regular files only.
        commands: each is split as a shell would split it and run without a shell.
        timeout_seconds: for each command.
        scratch: where the export is made; removed afterwards.
        beat: called every two seconds with the command that runs.
        executables: the paths that Git marks as executable.

    Raises:
        PermanentError: `TestSandboxFailed`, a command cannot be split or a path is unsafe.
    """
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    results = []
    with tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        await asyncio.to_thread(_export, files, executables, root / "source")
        (root / "home").mkdir()
        for command in commands:
            result = await _run(command, root, timeout_seconds, beat)
            results.append(result)
            if result.exit_code != 0:
                break
    return TestReport(
        passed=all(result.exit_code == 0 for result in results), commands=tuple(results)
    )


def _export(files: Mapping[str, bytes], executables: Collection[str], root: Path) -> None:
    root.mkdir()
    for name, data in files.items():
        path = root / name
        if not path.resolve().is_relative_to(root.resolve()):
            raise PermanentError("TestSandboxFailed", f"the path {name!r} leaves the export")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if name in executables else 0o644)


async def _run(
    command: str, root: Path, timeout_seconds: float, beat: Callable[[str], None]
) -> CommandResult:
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise PermanentError("TestSandboxFailed", f"cannot split {command!r}: {error}") from None
    if not argv:
        raise PermanentError("TestSandboxFailed", "an empty test command")
    started = time.monotonic()
    output = root / "output"
    with output.open("wb") as sink:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=root / "source",
                env=_environment(root),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_limit,
            )
        except OSError as error:
            return _result(command, 127, started, f"{argv[0]}: {error.strerror}")
        timed_out = await _watch(process, command, started + timeout_seconds, beat)
    return _result(command, process.returncode or 0, started, _tail(output), timed_out)


async def _watch(
    process: asyncio.subprocess.Process,
    command: str,
    deadline: float,
    beat: Callable[[str], None],
) -> bool:
    """Wait for the end, beating; returns whether the time was up."""
    try:
        while (left := deadline - time.monotonic()) > 0:
            beat(command)
            try:
                await asyncio.wait_for(process.wait(), min(left, HEARTBEAT_SECONDS))
                return False
            except TimeoutError:
                continue
        return True
    finally:
        # The whole group, whether it ended, was cancelled, or is late: tests leave children.
        _kill_group(process.pid)
        await process.wait()


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _environment(root: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(root / "home"),
        "TMPDIR": str(root / "home"),
        "LANG": "C.UTF-8",
        "CI": "true",
    }


def _tail(path: Path) -> str:
    """The end of the output, without credentials: it goes into histories and status files."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - MAX_OUTPUT * 4))
        text = file.read().decode(errors="replace")
    whole = text.partition("\n")[2]
    if start and len(whole) >= MAX_OUTPUT:
        text = whole  # without the line that it begins in: half a credential is not recognised
    return Redactor().redact(text).text[-MAX_OUTPUT:]


def _result(
    command: str, exit_code: int, started: float, output: str, timed_out: bool = False
) -> CommandResult:
    return CommandResult(
        command=command,
        exit_code=exit_code,
        seconds=round(time.monotonic() - started, 3),
        timed_out=timed_out,
        output=output,
    )
