"""The test sandbox: clean, bounded, and nothing of it is left."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pilothouse.clients import sandbox
from pilothouse.clients.sandbox import MAX_OUTPUT, run_commands
from pilothouse.models.errors import PermanentError
from pilothouse.models.runs import TestReport

FAMILY = b"""
import subprocess, sys, time, pathlib
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
if len(sys.argv) > 2:
    time.sleep(600)
"""


async def run(
    tmp_path: Path,
    *commands: str,
    files: dict[str, bytes] | None = None,
    executables: tuple[str, ...] = (),
    seconds: float = 20,
    beat: Callable[[str], None] = lambda command: None,
) -> TestReport:
    return await run_commands(
        files or {},
        commands,
        timeout_seconds=seconds,
        scratch=tmp_path / "scratch",
        beat=beat,
        executables=executables,
    )


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody reaped counts as ended."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while not gone(pid):
            await asyncio.sleep(0.02)


async def until_written(path: Path) -> int:
    async with asyncio.timeout(10):
        while not path.exists() or not path.read_text(encoding="utf-8"):
            await asyncio.sleep(0.02)
    return int(path.read_text(encoding="utf-8"))


async def test_commands_run_in_order_in_one_export_of_the_files(tmp_path: Path) -> None:
    files = {"a.txt": b"one", "deep/b.txt": b"two"}
    report = await run(tmp_path, "cat a.txt deep/b.txt", "cp a.txt c.txt", "cat c.txt", files=files)
    assert report.passed
    assert [result.output for result in report.commands] == ["onetwo", "", "one"]


async def test_the_first_failure_ends_it_and_is_reported(tmp_path: Path) -> None:
    report = await run(tmp_path, "true", "sh -c 'echo broken >&2; exit 3'", "touch never")
    assert not report.passed
    assert [result.exit_code for result in report.commands] == [0, 3]
    assert report.commands[-1].output == "broken\n"


async def test_nothing_is_left_of_the_export(tmp_path: Path) -> None:
    await run(tmp_path, "mkdir -p x/y", files={"a": b"1"})
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_the_environment_is_cleared_of_everything_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOTHOUSE_GIT_CREDENTIALS", "s3cr3t")
    monkeypatch.setenv("KUBECONFIG", "/srv/kubeconfig")
    report = await run(tmp_path, "env")
    output = report.commands[0].output
    assert {line.partition("=")[0] for line in output.splitlines()} == {
        "PATH", "HOME", "TMPDIR", "LANG", "CI",
    }  # fmt: skip
    assert str(tmp_path / "scratch") in output


async def test_nothing_waits_for_input(tmp_path: Path) -> None:
    report = await run(tmp_path, "cat", seconds=10)
    assert report.passed


async def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    report = await run(tmp_path, "echo $HOME; touch x && `id` | cat > y")
    assert report.commands[0].output == "$HOME; touch x && `id` | cat > y\n"


@pytest.mark.parametrize("command", ["echo 'unbalanced", 'echo "', "", "   "])
async def test_a_command_that_cannot_be_split_is_a_final_error(
    tmp_path: Path, command: str
) -> None:
    with pytest.raises(PermanentError) as refused:
        await run(tmp_path, command)
    assert refused.value.type == "TestSandboxFailed"


async def test_a_program_that_does_not_exist_is_a_failed_test_that_says_so(tmp_path: Path) -> None:
    (result,) = (await run(tmp_path, "no-such-program --x")).commands
    assert (result.exit_code, result.output) == (
        127,
        "no-such-program: No such file or directory",
    )


async def test_a_script_that_git_marks_as_executable_runs_and_another_does_not(
    tmp_path: Path,
) -> None:
    files = {"run.sh": b"#!/bin/sh\necho ran\n"}
    report = await run(tmp_path, "./run.sh", files=files, executables=("run.sh",))
    assert report.commands[0].output == "ran\n"
    report = await run(tmp_path, "./run.sh", files=files)
    assert report.commands[0].output == "./run.sh: Permission denied"


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/etc/outside"])
async def test_a_path_that_leaves_the_export_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(PermanentError, match="leaves the export") as refused:
        await run(tmp_path, "true", files={path: b"x"})
    assert refused.value.type == "TestSandboxFailed"
    assert not list(tmp_path.rglob("outside"))


async def test_when_the_time_is_up_the_command_and_its_children_end(tmp_path: Path) -> None:
    told = tmp_path / "child"
    command = f"{sys.executable} family.py {told} wait"
    started = time.monotonic()
    report = await run(tmp_path, command, files={"family.py": FAMILY}, seconds=2)
    assert time.monotonic() - started < 10
    (result,) = report.commands
    assert (result.timed_out, result.exit_code, report.passed) == (True, -9, False)
    await until_gone(int(told.read_text(encoding="utf-8")))


async def test_children_that_a_command_left_behind_end_with_it(tmp_path: Path) -> None:
    told = tmp_path / "child"
    command = f"{sys.executable} family.py {told}"
    report = await run(tmp_path, command, files={"family.py": FAMILY})
    assert report.passed
    await until_gone(int(told.read_text(encoding="utf-8")))


async def test_a_cancelled_run_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    told = tmp_path / "child"
    command = f"{sys.executable} family.py {told} wait"
    running = asyncio.create_task(run(tmp_path, command, files={"family.py": FAMILY}))
    child = await until_written(told)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until_gone(child)
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_only_the_end_of_a_long_output_is_kept(tmp_path: Path) -> None:
    program = "print('x' * 100_000 + '\\u00e9' * 5000 + 'the end')"
    report = await run(tmp_path, f'{sys.executable} -c "{program}"')
    output = report.commands[0].output
    assert len(output) == MAX_OUTPUT
    assert output.endswith("\u00e9the end\n")


async def test_credentials_in_the_output_are_not_kept(tmp_path: Path) -> None:
    program = "print('x\\\\n' * 3000 + 'API_TOKEN=hunter2-canary')"
    report = await run(tmp_path, f'{sys.executable} -c "{program}"')
    assert report.commands[0].output.endswith("x\nAPI_TOKEN=<REDACTED:assignment>\n")


async def test_output_that_is_no_text_is_still_reported(tmp_path: Path) -> None:
    report = await run(tmp_path, r"printf '\377\376ok'")
    assert report.commands[0].output == "\ufffd\ufffdok"


async def test_a_command_that_takes_too_much_memory_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "MEMORY_LIMIT", 200 * 1024**2)
    report = await run(tmp_path, f"{sys.executable} -c 'bytearray(400 * 1024**2)'")
    assert not report.passed
    assert "MemoryError" in report.commands[0].output


async def test_a_command_that_writes_too_large_a_file_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "FILE_LIMIT", 1024**2)
    report = await run(tmp_path, "dd if=/dev/zero of=big bs=1M count=4")
    assert not report.passed


async def test_it_beats_while_a_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "HEARTBEAT_SECONDS", 0.1)
    beats: list[str] = []
    await run(tmp_path, "sleep 1", beat=beats.append)
    assert len(beats) >= 5
    assert set(beats) == {"sleep 1"}


async def test_a_command_has_a_group_of_its_own(tmp_path: Path) -> None:
    program = "import os; print(os.getpgrp() == os.getpid(), os.getpgrp())"
    report = await run(tmp_path, f"{sys.executable} -c '{program}'")
    alone, group = report.commands[0].output.split()
    assert alone == "True"
    assert int(group) != os.getpgrp()
