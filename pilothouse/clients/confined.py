"""Runs a program that renders manifests, in a folder of its own with nothing to reach.

The process has no environment but what the caller gives, no standard input, its own process group,
and limits on time, memory, file size and output. Its first lock is what the caller hands over:
regular files below one folder.
"""

import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pilothouse.models.errors import PermanentError

MOST_OUTPUT_BYTES = 16 * 1024 * 1024
_MOST_ERROR_BYTES = 64 * 1024
_MEMORY_LIMIT = 4 * 1024**3
_FILE_LIMIT = 64 * 1024**2
_NO_PROXY_THERE = "http://127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Confined:
    """One way to run a program."""

    name: str
    """As messages call it, e.g. `Kustomize`."""
    environment: Mapping[str, str]
    timeout_seconds: float

    def run(self, command: Sequence[str], cwd: Path) -> bytes:
        """Run a command to its end and return what it wrote, at most 16 MiB.

        Raises:
            PermanentError: `InvalidManifests`: it cannot be started, refused, took too long or
                wrote too much. The message holds its own words without the folder's name.
        """
        expired = threading.Event()
        # Standard error goes to a file: a full pipe would stop the process while we read.
        with tempfile.TemporaryFile(dir=cwd.parent) as complaints:
            process = self._start(command, cwd, complaints.fileno())

            def expire() -> None:
                expired.set()
                _kill_group(process)

            timer = threading.Timer(self.timeout_seconds, expire)
            timer.start()
            try:
                output = process.stdout.read(MOST_OUTPUT_BYTES + 1) if process.stdout else b""
                if len(output) > MOST_OUTPUT_BYTES:
                    _kill_group(process)
                process.wait()
            finally:
                timer.cancel()
                _kill_group(process)
                if process.stdout:
                    process.stdout.close()
                process.wait()
            complaints.seek(0)
            said = _in_short(complaints.read(_MOST_ERROR_BYTES).decode(errors="replace"), cwd)
        if expired.is_set():
            self._refuse(f"{self.name} took longer than {self.timeout_seconds:g} seconds")
        if len(output) > MOST_OUTPUT_BYTES:
            self._refuse(f"{self.name} wrote more than 16 MiB")
        if process.returncode != 0:
            self._refuse(said or f"{self.name} failed without a word")
        if said:
            _log_warning(self.name, said)
        return output

    def _start(self, command: Sequence[str], cwd: Path, errors: int) -> "subprocess.Popen[bytes]":
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,
            )
        except OSError as error:
            raise PermanentError(
                "InvalidManifests", f"{self.name} cannot be started: {error.strerror}"
            ) from error
        _limit(process.pid)
        return process

    def _refuse(self, message: str) -> None:
        raise PermanentError("InvalidManifests", message)


def scratch_environment(home: Path) -> dict[str, str]:
    """A home of its own, an empty PATH, and proxies that are none: nothing can be fetched."""
    return {
        "HOME": str(home),
        "PATH": str(home),
        "TMPDIR": str(home),
        "HTTP_PROXY": _NO_PROXY_THERE,
        "HTTPS_PROXY": _NO_PROXY_THERE,
    }


def write_files(files: Mapping[str, bytes], root: Path) -> None:
    """Write files below a new folder.

    Raises:
        PermanentError: `InvalidManifests`: a path is not one inside the folder, or two paths are
            one where capitals or ways to write a letter do not count.
    """
    root.mkdir()
    folded: dict[str, str] = {}
    for path, data in files.items():
        target = root / relative(path)
        other = folded.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if other != path:
            raise PermanentError(
                "InvalidManifests", f"{path!r} and {other!r} are one file on some machines"
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise PermanentError(
                "InvalidManifests", f"{path!r} is a file and a folder at once"
            ) from error


def relative(path: str) -> PurePosixPath:
    """The path, if it can only stand below the folder that it is joined to.

    Raises:
        PermanentError: `InvalidManifests`: it is absolute, empty, or holds `.`, `..` or NUL.
    """
    parts = path.split("/")
    if not path or "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise PermanentError("InvalidManifests", f"{path!r} is not a path inside the repository")
    return PurePosixPath(path)


def _limit(pid: int) -> None:
    """From outside: code between fork and exec is unsafe in a process with threads."""
    if sys.platform == "linux":
        limits = {
            resource.RLIMIT_AS: _MEMORY_LIMIT,
            resource.RLIMIT_FSIZE: _FILE_LIMIT,
            resource.RLIMIT_CORE: 0,
        }
        for kind, most in limits.items():
            try:
                resource.prlimit(pid, kind, (most, most))
            except ProcessLookupError:
                return  # It has ended already.


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of a group that ended.
        return


def _log_warning(name: str, said: str) -> None:
    # The standard library's logger: structlog takes longer to import than a small folder to check.
    logging.getLogger(__name__).info("%s warned: %s", name, said)


def _in_short(said: str, root: Path) -> str:
    """A program's own words without the temporary folder's name."""
    text = said.replace(f"{root}/", "").replace(str(root), ".").strip()
    return " ".join(text.removeprefix("error: ").removeprefix("Error: ").split())[:1000]
