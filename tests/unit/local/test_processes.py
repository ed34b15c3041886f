import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pilothouse.local.detached import DetachedProcess, identify
from pilothouse.local.locks import FileLock, locked
from pilothouse.local.ports import free_ports, is_free
from pilothouse.local.private_files import write_private
from pilothouse.local.processes import ManagedProcess
from pilothouse.models.errors import PermanentError, TemporaryError

BOUND_SECONDS = 10.0
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills orphans")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def always() -> bool:
    return True


async def never() -> bool:
    return False


def alive(pid: int) -> bool:
    return identify(pid) is not None


def gone(pid: int) -> bool:
    """Whether a process that nobody waits for ends within the bound."""
    deadline = time.monotonic() + BOUND_SECONDS
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def run_from_root(code: str) -> "subprocess.Popen[str]":
    """Run code as a process of its own that can import the library."""
    root = Path(__file__).parents[3]
    return subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True, cwd=root)


def a_stranger() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "60"], start_new_session=True)


async def content(path: Path) -> str:
    """What a child writes to a file, once it has."""
    deadline = time.monotonic() + BOUND_SECONDS
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text(encoding="utf-8")).endswith("\n"):
            return text
        await asyncio.sleep(0.02)
    raise AssertionError(f"{path} was never written")


async def test_a_process_writes_its_output_to_its_log_and_ends_with_stop(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "server.log"
    process = ManagedProcess(
        "server", python("print('hello', flush=True); import time; time.sleep(60)"), log=log
    )
    await process.start()
    pid = process.pid
    assert pid is not None
    assert process.running
    assert await content(log) == "hello\n"
    assert log.stat().st_mode & 0o777 == 0o600
    await process.stop()
    assert not process.running
    assert not alive(pid)
    await process.stop()


async def test_the_environment_is_the_given_one_only(tmp_path: Path) -> None:
    code = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"
    async with ManagedProcess(
        "printer", python(code), log=tmp_path / "log", env={"ONLY": "this"}
    ) as process:
        assert await process.finish(timeout_seconds=BOUND_SECONDS) == "['ONLY']\n"


async def test_readiness_is_reached_when_the_probe_says_yes(tmp_path: Path) -> None:
    answers = iter([False, False, True])

    async def third_time() -> bool:
        return next(answers)

    async with ManagedProcess("sleeper", ["sleep", "60"], log=tmp_path / "log") as process:
        seconds = await process.wait_until_ready(third_time, timeout_seconds=BOUND_SECONDS)
        assert 0.1 <= seconds < BOUND_SECONDS
        assert next(answers, None) is None


async def test_an_early_end_is_an_error_that_quotes_only_this_start_of_the_log(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    log.write_text("an older failure\n", encoding="utf-8")
    code = "print('first'); print('the disk is full'); raise SystemExit(3)"
    async with ManagedProcess("etcd", python(code), log=log) as process:
        with pytest.raises(PermanentError) as raised:
            await process.wait_until_ready(never, timeout_seconds=BOUND_SECONDS)
    assert raised.value.type == "LocalServiceFailed"
    assert "etcd ended with exit code 3 before it was ready" in str(raised.value)
    assert str(raised.value).endswith("first\nthe disk is full")
    assert "older" not in str(raised.value)


async def test_a_process_that_a_signal_ended_is_named_with_the_signal(tmp_path: Path) -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    async with ManagedProcess("victim", python(code), log=tmp_path / "log") as process:
        with pytest.raises(PermanentError, match="was killed by SIGKILL"):
            await process.wait_until_ready(never, timeout_seconds=BOUND_SECONDS)


async def test_a_late_server_is_a_temporary_error_and_goes_on_running(tmp_path: Path) -> None:
    async with ManagedProcess("sleeper", ["sleep", "60"], log=tmp_path / "log") as process:
        with pytest.raises(TemporaryError, match=r"not ready within 0\.2 s; it wrote nothing"):
            await process.wait_until_ready(never, timeout_seconds=0.2)
        assert process.running


async def test_a_probe_that_hangs_cannot_exceed_the_time(tmp_path: Path) -> None:
    async def hangs() -> bool:
        await asyncio.sleep(60)
        return True

    async with ManagedProcess("sleeper", ["sleep", "60"], log=tmp_path / "log") as process:
        started = time.monotonic()
        with pytest.raises(TemporaryError):
            await process.wait_until_ready(hangs, timeout_seconds=0.2)
        assert time.monotonic() - started < 5


async def test_an_early_end_is_noticed_while_the_probe_hangs(tmp_path: Path) -> None:
    async def hangs() -> bool:
        await asyncio.sleep(60)
        return True

    async with ManagedProcess("server", ["sleep", "0.2"], log=tmp_path / "log") as process:
        started = time.monotonic()
        with pytest.raises(PermanentError, match="server ended with exit code 0"):
            await process.wait_until_ready(hangs, timeout_seconds=60)
        assert time.monotonic() - started < 5


async def test_what_the_probe_raises_is_raised(tmp_path: Path) -> None:
    async def broken() -> bool:
        raise ValueError("a mistake in the probe")

    async with ManagedProcess("sleeper", ["sleep", "60"], log=tmp_path / "log") as process:
        with pytest.raises(ValueError, match="a mistake in the probe"):
            await process.wait_until_ready(broken, timeout_seconds=BOUND_SECONDS)


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    process = ManagedProcess("etcd", ["/nowhere/etcd"], log=tmp_path / "log")
    with pytest.raises(PermanentError, match=r"cannot run /nowhere/etcd \(etcd\): No such file"):
        await process.start()


async def test_a_second_start_is_refused(tmp_path: Path) -> None:
    async with ManagedProcess("sleeper", ["sleep", "60"], log=tmp_path / "log") as process:
        with pytest.raises(PermanentError, match="already runs"):
            await process.start()


async def test_a_process_deaf_to_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(60)"
    )
    log = tmp_path / "log"
    process = ManagedProcess("deaf", python(code), log=log, grace_seconds=0.2)
    await process.start()
    pid = process.pid
    assert pid is not None
    await content(log)
    await process.stop()
    assert not alive(pid)


async def test_children_of_the_process_end_with_it(tmp_path: Path) -> None:
    code = (
        "import subprocess, time; child = subprocess.Popen(['sleep', '60']);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    log = tmp_path / "log"
    async with ManagedProcess("parent", python(code), log=log):
        child = int(await content(log))
        assert alive(child)
    assert gone(child)


async def test_children_of_a_process_that_ended_by_itself_end_at_stop(tmp_path: Path) -> None:
    code = (
        "import subprocess; child = subprocess.Popen(['sleep', '60']);print(child.pid, flush=True)"
    )
    log = tmp_path / "log"
    process = ManagedProcess("parent", python(code), log=log)
    await process.start()
    assert await process.wait() == 0
    child = int(await content(log))
    assert alive(child)
    await process.stop()
    assert gone(child)


@ON_LINUX
async def test_the_process_dies_when_its_starter_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    code = f"""
import asyncio
from pathlib import Path
from pilothouse.local.processes import ManagedProcess

async def main():
    process = ManagedProcess("sleeper", ["sleep", "60"], log=Path({str(log)!r}))
    await process.start()
    print(process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    with run_from_root(code) as starter:
        assert starter.stdout is not None
        lines = iter(starter.stdout.readline, "")
        child = int(next(line for line in lines if line.strip().isdigit()))
        assert alive(child)
        starter.kill()
    assert gone(child)


async def test_finish_returns_the_output_and_reports_meanwhile(tmp_path: Path) -> None:
    reports: list[int] = []
    code = "import time; time.sleep(0.5); print('done')"
    async with ManagedProcess("command", python(code), log=tmp_path / "log") as process:
        text = await process.finish(
            timeout_seconds=BOUND_SECONDS, report=lambda: reports.append(1), every_seconds=0.05
        )
    assert text == "done\n"
    assert len(reports) >= 2


async def test_finish_raises_what_the_command_said_last(tmp_path: Path) -> None:
    code = "import sys; sys.exit('no space left')"
    async with ManagedProcess("command", python(code), log=tmp_path / "log") as process:
        with pytest.raises(PermanentError, match=r"exit code 1; the end of .*\nno space left"):
            await process.finish(timeout_seconds=BOUND_SECONDS)


async def test_finish_gives_up_when_the_time_is_over(tmp_path: Path) -> None:
    async with ManagedProcess("command", ["sleep", "60"], log=tmp_path / "log") as process:
        with pytest.raises(TemporaryError, match=r"did not end within 0\.1 s"):
            await process.finish(timeout_seconds=0.1)


async def test_a_detached_process_is_stopped_through_its_pid_file_by_another_object(
    tmp_path: Path,
) -> None:
    pid_file = tmp_path / "run" / "server.pid"
    first = DetachedProcess("server", ["sleep", "60"], log=tmp_path / "log", pid_file=pid_file)
    await first.start()
    assert await first.wait_until_ready(always, timeout_seconds=BOUND_SECONDS) < 1
    pid = first.pid
    assert pid is not None
    assert os.getsid(pid) == pid
    assert pid_file.stat().st_mode & 0o777 == 0o600

    second = DetachedProcess("server", ["sleep", "60"], log=tmp_path / "log", pid_file=pid_file)
    assert second.running
    with pytest.raises(PermanentError, match="already runs"):
        await second.start()
    await second.stop()
    assert not first.running
    assert not alive(pid)
    assert not pid_file.exists()
    await second.stop()


async def test_a_detached_process_outlives_its_starter(tmp_path: Path) -> None:
    pid_file = tmp_path / "server.pid"
    code = f"""
import asyncio
from pathlib import Path
from pilothouse.local.detached import DetachedProcess

process = DetachedProcess(
    "server", ["sleep", "60"], log=Path({str(tmp_path / "log")!r}), pid_file=Path({str(pid_file)!r})
)
asyncio.run(process.start())
"""
    with run_from_root(code) as starter:
        starter.communicate()
    assert starter.returncode == 0
    process = DetachedProcess("server", (), log=tmp_path / "log", pid_file=pid_file)
    pid = process.pid
    assert pid is not None
    assert process.running
    await process.stop()
    assert gone(pid)


async def test_a_stranger_with_a_recycled_pid_is_never_signalled(tmp_path: Path) -> None:
    pid_file = tmp_path / "server.pid"
    with a_stranger() as stranger:
        write_private(pid_file, json.dumps({"pid": stranger.pid, "began": "another boot/1"}))
        process = DetachedProcess("server", (), log=tmp_path / "log", pid_file=pid_file)
        assert not process.running
        await process.stop()
        assert stranger.poll() is None
        assert not pid_file.exists()
        stranger.kill()


async def test_a_detached_process_that_ends_at_once_is_an_error_with_its_log(
    tmp_path: Path,
) -> None:
    process = DetachedProcess(
        "server",
        python("print('port in use'); raise SystemExit(2)"),
        log=tmp_path / "log",
        pid_file=tmp_path / "pid",
    )
    await process.start()
    with pytest.raises(PermanentError, match=r"ended with exit code 2 .*\nport in use"):
        await process.wait_until_ready(never, timeout_seconds=BOUND_SECONDS)
    await process.stop()


async def test_a_damaged_pid_file_stops_nobody_and_says_what_to_do(tmp_path: Path) -> None:
    pid_file = tmp_path / "server.pid"
    pid_file.write_text("12", encoding="utf-8")
    process = DetachedProcess("server", (), log=tmp_path / "log", pid_file=pid_file)
    with pytest.raises(PermanentError, match="is no pid file; stop server by hand"):
        await process.stop()


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["sleep", "60"])
    identity = identify(child.pid)
    assert identity is not None
    assert identity.alive
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.alive
    child.wait()


def test_free_ports_are_distinct_and_can_be_bound() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


async def test_a_lock_makes_the_second_wait_and_say_so(tmp_path: Path) -> None:
    events: list[str] = []
    waits = asyncio.Event()
    first = FileLock(tmp_path / "lock")
    assert first.acquire()

    async def second() -> None:
        async with locked(tmp_path / "lock", waits.set):
            events.append("holds")

    async with asyncio.timeout(BOUND_SECONDS):
        waiting = asyncio.create_task(second())
        await waits.wait()
        events.append("released")
        first.release()
        await waiting
    assert events == ["released", "holds"]


def test_a_private_file_is_replaced_whole_and_only_ours(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text(encoding="utf-8") == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["token"]
