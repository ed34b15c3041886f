"""Helm, as `helm template`, in a folder of its own with nothing to reach."""

import json
import shutil
import tempfile
import time
from pathlib import Path

from pilothouse.clients.confined import Confined, scratch_environment, write_files
from pilothouse.clients.schemas import DEFAULT_VERSION
from pilothouse.gitops.manifests.helm.releases import HelmMissingError, Release

_APART_SECONDS = 1.05
"""How long after a rendering began the clock surely shows another second."""


class HelmProgram:
    """Renders charts with the `helm` program, version 3 or 4.

    A chart is copied to a temporary folder. The process has no environment but Helm's own folders
    in there and an empty PATH: no plugins, no post-renderers, no repositories, no registry
    login, no kubeconfig, so that `lookup` gives nothing. Nothing but the files of the release
    decides what comes out.
    """

    def __init__(
        self,
        program: Path | None = None,
        *,
        kubernetes_version: str = DEFAULT_VERSION,
        timeout_seconds: float = 30.0,
    ) -> None:
        """Hold what is needed; the program is looked for when a chart is rendered.

        Args:
            program: a path, or a name on the PATH; None: what the settings name, else `helm`.
            kubernetes_version: what templates see as the cluster's version, e.g. `1.36`.
            timeout_seconds: the longest that one rendering may take.
        """
        self._program = program
        self._version = kubernetes_version
        self._timeout_seconds = timeout_seconds

    def __call__(self, release: Release) -> tuple[bytes, bytes]:
        """Render a release twice; idempotent.

        Two renderings show what a template makes up anew each time, such as a password. Where a
        template reads the clock they begin in different seconds.

        Returns:
            Both YAML streams, at most 16 MiB each.

        Raises:
            HelmMissingError: there is no such program.
            PermanentError: `InvalidManifests`: a path is not one, or Helm refused, took too long
                or wrote too much.
        """
        program = find_helm(self._program)
        with tempfile.TemporaryDirectory(prefix="pilothouse-helm-") as scratch:
            chart, home = Path(scratch) / "chart", Path(scratch) / "home"
            write_files(release.files, chart)
            home.mkdir()
            values = home / "values.json"
            values.write_text(json.dumps(release.values, ensure_ascii=False), encoding="utf-8")
            command = [
                str(program),
                "template",
                f"--namespace={release.namespace}",
                f"--kube-version={_three_parts(self._version)}",
                f"--values={values}",
                "--include-crds",
                "--",
                release.name,
                str(chart),
            ]
            confined = Confined("Helm", _environment(home), self._timeout_seconds)
            began = time.monotonic()
            first = confined.run(command, chart)
            if release.apart:
                time.sleep(max(0.0, began + _APART_SECONDS - time.monotonic()))
            return first, confined.run(command, chart)


def find_helm(program: Path | None = None) -> Path:
    """Where the `helm` program is, as `HelmProgram` looks for it.

    Raises:
        HelmMissingError: nowhere.
    """
    wanted = str(program or _configured() or "helm")
    found = shutil.which(wanted)
    if found is None:
        raise HelmMissingError(f"there is no program {wanted}")
    # Absolute: it starts in another folder. Links stay: some programs go by their own name.
    return Path(found).absolute()


def _configured() -> Path | None:
    # Here: reading the settings takes a tenth of a second, and few folders hold charts.
    from pilothouse.clients.settings import read_settings

    return read_settings().helm


def _environment(home: Path) -> dict[str, str]:
    folders = {
        name: str(home / name.lower())
        for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HELM_PLUGINS")
    }
    return {**scratch_environment(home), **folders, "KUBECONFIG": str(home / "no-kubeconfig")}


def _three_parts(version: str) -> str:
    """`1.36` as `1.36.0`: templates compare it as a semantic version."""
    number = version.removeprefix("v")
    return number if number.count(".") == 2 else f"{number}.0"
