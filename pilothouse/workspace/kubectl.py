"""Runs kubectl for a look at one namespace: no shell, no environment, bounded in every way."""

import asyncio
import os
import signal
import tempfile
from pathlib import Path
from typing import Final

from pilothouse.clients.kustomize import find_kubectl
from pilothouse.gitops.diagnosis.text import quote
from pilothouse.models.base import Contract
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.workspace.commands import ReadCommand
from pilothouse.workspace.configuration import Target

TIMEOUT_SECONDS: Final = 15.0
MAX_OUTPUT: Final = 64 * 1024
MAX_LINE: Final = 2000
_LOG_BYTES: Final = 256 * 1024


class CommandOutput(Contract):
    """What a command said."""

    output: str
    """Lines with control characters dropped and what looks like a credential masked; untrusted."""
    exit_code: int
    truncated: bool = False


async def run_kubectl(command: ReadCommand, target: Target) -> CommandOutput:
    """Run one look and return the end of what it said.

    Raises:
        PermanentError: `ToolRefused`, the environment has no credentials to read with.
        TemporaryError: `ToolUnavailable`, it took too long.
    """
    if target.kubeconfig is None:
        raise PermanentError(
            "ToolRefused", "this environment has no kubeconfig in the server's settings"
        )
    with tempfile.TemporaryDirectory(prefix="pilothouse-kubectl-") as home:
        process = await asyncio.create_subprocess_exec(
            *argv(command, target),
            cwd=home,
            env={"HOME": home, "PATH": home, "KUBECTL_KUBERC": "false"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                said, truncated = await _read(process)
                code = await process.wait()
        except TimeoutError:
            raise TemporaryError(
                "ToolUnavailable", f"kubectl took longer than {TIMEOUT_SECONDS:g} s: ask for less"
            ) from None
        finally:
            _kill(process)
            await process.wait()
    return CommandOutput(output=_shown(said), exit_code=code, truncated=truncated)


def argv(command: ReadCommand, target: Target) -> list[str]:
    """The whole argument vector; where it looks comes from the settings alone."""
    context = [f"--context={target.context}"] if target.context else []
    limit = [f"--limit-bytes={_LOG_BYTES}", "--max-log-requests=10"]
    return [
        str(find_kubectl()),
        command.verb,
        f"--kubeconfig={Path(str(target.kubeconfig)).absolute()}",
        *context,
        f"--namespace={target.namespace}",
        f"--request-timeout={TIMEOUT_SECONDS - 3:g}s",
        *(limit if command.verb == "logs" else []),
        *command.arguments,
    ]


async def _read(process: asyncio.subprocess.Process) -> tuple[bytes, bool]:
    """The last part of the output: failures speak last."""
    assert process.stdout is not None
    said, total = bytearray(), 0
    while chunk := await process.stdout.read(64 * 1024):
        total += len(chunk)
        said = (said + chunk)[-MAX_OUTPUT:]
    return bytes(said), total > MAX_OUTPUT


def _shown(said: bytes) -> str:
    lines = said.decode(errors="replace").splitlines()
    return "\n".join(quote(line, MAX_LINE) for line in lines)


def _kill(process: asyncio.subprocess.Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
