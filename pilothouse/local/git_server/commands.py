"""Runs git on the server's side, without anybody's configuration."""

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from functools import cache
from pathlib import Path

from pilothouse.models.errors import PermanentError


@cache
def git_program() -> str:
    """Return the path of git.

    Raises:
        PermanentError: `RepositoryUnavailable`, there is none.
    """
    program = shutil.which("git")
    if program is None:
        raise PermanentError("RepositoryUnavailable", "git is not installed, or not on PATH")
    return program


def server_environment(protocol: str = "") -> dict[str, str]:
    """The environment of git and of the hooks: nothing of ours, nothing of the user's.

    Args:
        protocol: `version=2` and the like, as the client asked for it; checked by the caller.
    """
    paths = dict.fromkeys((str(Path(git_program()).parent), "/usr/local/bin", "/usr/bin", "/bin"))
    return {
        "PATH": os.pathsep.join(paths),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PROTOCOL": protocol,
    }


async def start_git(
    *arguments: str, protocol: str = "", stdin: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    """Start git in a process group of its own."""
    return await asyncio.create_subprocess_exec(
        git_program(),
        *arguments,
        env=server_environment(protocol),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


async def read_git(repository: Path, *arguments: str) -> str | None:
    """Return what a quick command says, or None if it fails."""
    process = await start_git(f"--git-dir={repository}", *arguments)
    try:
        out, _ = await process.communicate()
    finally:
        await end_git(process)
    return out.decode(errors="replace") if process.returncode == 0 else None


async def end_git(process: asyncio.subprocess.Process) -> None:
    """End git and what it started, if it still runs. Idempotent."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 2)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
