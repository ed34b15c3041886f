"""The four programs: their names, where they are, which version they are."""

import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pilothouse.local.processes import ManagedProcess
from pilothouse.models.errors import PermanentError

Program = Literal["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
PROGRAMS: tuple[Program, ...] = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
)
"""In the order of start. The order of stop is the reverse: an API server whose etcd is gone hangs
in its shutdown for minutes, and keeps its port."""
MULTI_CALL = "controlplane"
"""The one binary of our own build; its first argument chooses the program."""
_VERSION_SECONDS = 20.0

Source = Literal["directory", "cache", "release", "build"]
Progress = Callable[[str], None]
"""Receives one line for people, now and then, during a download or a build."""


@dataclass(frozen=True)
class ControlPlaneBinary:
    """The four programs, ready to run."""

    path: Path
    """The folder: holds `controlplane`, or the four programs by their names."""
    version: str
    """Kubernetes' version, as `v1.36.3`."""
    source: Source

    def command(self, program: Program) -> tuple[str, ...]:
        """What to run for one program, before its own arguments."""
        return _command(self.path, program)


def missing_programs(folder: Path) -> list[str]:
    """What a folder lacks to be a control plane; empty when it is one."""
    if _executable(folder / MULTI_CALL):
        return []
    return [name for name in PROGRAMS if not _executable(folder / name)]


async def ask_version(folder: Path) -> str:
    """Run the API server of a folder with `--version`; returns Kubernetes' version.

    Raises:
        PermanentError: `LocalServiceFailed`, it does not run here, as for another processor.
    """
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "version"
        argv = (*_command(folder, "kube-apiserver"), "--version")
        async with ManagedProcess("kube-apiserver --version", argv, log=log) as process:
            text = await process.finish(timeout_seconds=_VERSION_SECONDS)
    match = re.search(r"^Kubernetes (v\S+)$", text, re.MULTILINE)
    if match is None:
        raise PermanentError(
            "LocalServiceFailed",
            f"the kube-apiserver in {folder} does not say its version:\n{text}",
        )
    return match[1]


def this_platform() -> str:
    """Operating system and processor in Go's words, as `linux/amd64`."""
    machine = platform.machine().lower()
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"{sys.platform}/{names.get(machine, machine)}"


def _command(folder: Path, program: Program) -> tuple[str, ...]:
    if _executable(folder / MULTI_CALL):
        return (str(folder / MULTI_CALL), program)
    return (str(folder / program),)


def _executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
