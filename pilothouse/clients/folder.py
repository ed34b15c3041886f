"""Validate any folder or file of manifests on disk, whatever its layout."""

import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pilothouse.clients.kustomize import build_kustomization
from pilothouse.clients.schemas import DEFAULT_VERSION, built_in_schemas
from pilothouse.gitops.manifests.builder import Limits
from pilothouse.gitops.manifests.kustomization import KUSTOMIZATION_NAMES
from pilothouse.gitops.manifests.loader import (
    LoadedManifest,
    duplicates,
    is_manifest_file,
    load,
)
from pilothouse.gitops.manifests.order import apply_order
from pilothouse.gitops.manifests.render import Kustomize, build, bundle, render
from pilothouse.gitops.pipeline_file import PIPELINE_FILE, parse_pipeline
from pilothouse.gitops.validation.checks import check
from pilothouse.gitops.validation.object_set import Exists, ObjectSet
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.gitops.validation.units import Layout, layout_of, units_of
from pilothouse.models.errors import PermanentError
from pilothouse.models.findings import Finding, Severity, ValidationReport, report
from pilothouse.models.objects import Bundle, ObjectRef, digest_of
from pilothouse.models.pipeline import Pipeline

_PIPELINE_KEY = re.compile(rb"^pipeline\s*:", re.MULTILINE)
_MOST_FILES = 50_000
_BUILDS_AT_ONCE = 4
_OWN_LIMITS = Limits(size_bytes=8 * 1024 * 1024, nodes=200_000)
"""A person's own folder is trusted more than a pull request: large dashboards are fine there."""


class FolderFiles(Mapping[str, bytes]):
    """The regular files below a folder, read when they are asked for.

    Links are neither followed nor listed, hidden folders not entered, and pipes, sockets and
    devices not opened: what is read stands in the folder itself.
    """

    def __init__(self, root: Path, only: str | None = None) -> None:
        self._root = root
        self._paths = dict.fromkeys([only] if only is not None else self._walk())

    def _walk(self) -> Iterator[str]:
        count = 0
        for folder, folders, names in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if not stat.S_ISREG(path.lstat().st_mode):
                    continue
                count += 1
                if count > _MOST_FILES:
                    raise PermanentError(
                        "InvalidRequest",
                        f"{self._root} holds more than {_MOST_FILES:,} files; name a folder of "
                        "manifests",
                    )
                yield path.relative_to(self._root).as_posix()

    def __getitem__(self, path: str) -> bytes:
        if path not in self._paths:
            raise KeyError(path)
        # The file may have become a link or a pipe since it was listed.
        try:
            descriptor = os.open(self._root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise PermanentError(
                "InvalidRequest", f"{self._root / path} cannot be read: {error.strerror}"
            ) from error
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise KeyError(path)
            # One byte beyond the bound, so that the loader says that the file is too large.
            return file.read(_OWN_LIMITS.size_bytes + 1)

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


@dataclass(frozen=True)
class Folder:
    """What a folder holds, and what is wrong with it."""

    report: ValidationReport
    """Every finding: nothing is left out."""
    bundles: tuple[Bundle, ...]
    """What would be applied, in apply order: one bundle for each environment of a pipeline file,
    else one with an empty environment. Empty where something could not be loaded."""


def validate_folder(
    path: Path,
    *,
    kubernetes_version: str = DEFAULT_VERSION,
    kustomize: Kustomize = build_kustomization,
) -> ValidationReport:
    """Validate a folder or one file: the report of `read_folder`."""
    return read_folder(path, kubernetes_version=kubernetes_version, kustomize=kustomize).report


def read_folder(
    path: Path,
    *,
    kubernetes_version: str = DEFAULT_VERSION,
    kustomize: Kustomize = build_kustomization,
) -> Folder:
    """Load and validate a folder or one file.

    A folder with a pipeline file of ours is validated as it would be deployed, once for each
    environment. In any other folder each kustomization that no other one names is built; files
    below kustomizations are not read by themselves; the remaining files are plain manifests; Helm
    charts, hidden folders and links are left out.

    Args:
        path: the folder, or one file.
        kubernetes_version: whose schemas to check with, e.g. `1.36`; the nearest known is taken.
        kustomize: builds kustomizations.

    Returns:
        The objects, and all findings, each once, with paths below the folder.

    Raises:
        PermanentError: `InvalidRequest`: the path does not exist, holds no YAML or JSON at all, or
            is no folder of manifests.
    """
    files = _open(path)
    validation = _Validation(files, SchemaCheck(built_in_schemas(kubernetes_version)), kustomize)
    data = files.get(PIPELINE_FILE)
    if data is not None and _PIPELINE_KEY.search(data):
        validation.pipeline(data)
    else:
        validation.layout(layout_of(files))
    return Folder(validation.report(), tuple(validation.bundles))


def _open(path: Path) -> FolderFiles:
    if path.is_file():
        if path.name in KUSTOMIZATION_NAMES:
            return FolderFiles(path.parent)
        return FolderFiles(path.parent, only=path.name)
    if not path.is_dir():
        raise PermanentError("InvalidRequest", f"{path} does not exist")
    files = FolderFiles(path)
    if not any(is_manifest_file(name) for name in files):
        raise PermanentError("InvalidRequest", f"{path} holds no YAML or JSON files")
    return files


class _Validation:
    """Collects what the units of one folder have wrong."""

    def __init__(self, files: FolderFiles, schemas: SchemaCheck, kustomize: Kustomize) -> None:
        self._files = files
        self._schemas = schemas
        self._kustomize = kustomize
        self._findings: dict[tuple[str, str, int, str, str], Finding] = {}
        self._objects = 0
        self.bundles: list[Bundle] = []

    def report(self) -> ValidationReport:
        """The sum of it."""
        if not self._objects and all(f.severity == "info" for f in self._findings.values()):
            message = "nothing was checked: there is no Kubernetes object here"
            fix = "Name a folder of manifests."
            self._note("nothing-checked", "warning", "", message, fix)
        return report(list(self._findings.values()), self._objects, limit=None)

    def pipeline(self, data: bytes) -> None:
        """Each environment as it would be deployed."""
        pipeline, findings = parse_pipeline(data)
        self._add(findings)
        if pipeline is None:
            return
        for environment in pipeline.environments:
            self._environment(pipeline, environment)
        if not pipeline.environments:
            self.layout(layout_of(_below(self._files, pipeline.manifests)))

    def _environment(self, pipeline: Pipeline, environment: str) -> None:
        rendered = render(self._files, pipeline, environment, self._kustomize)
        self._add(rendered.findings)
        self._check(rendered.manifests, None, rendered.findings)
        self.bundles.append(bundle(rendered, pipeline, environment))

    def layout(self, layout: Layout) -> None:
        """Builds, plain manifests, and a word about what is left out."""
        with ThreadPoolExecutor(_BUILDS_AT_ONCE) as pool:
            built = list(
                pool.map(lambda folder: build(self._files, folder, self._kustomize), layout.builds)
            )
        plain: list[LoadedManifest] = []
        for path in layout.plain:
            loaded = load(self._files[path], path, strays="info", limits=_OWN_LIMITS)
            self._add(loaded.findings)
            plain += loaded.manifests
        self._add(_repetitions(plain))
        everything = ObjectSet([*plain, *(m for loaded in built for m in loaded.manifests)])

        def exists(ref: ObjectRef) -> bool | None:
            return everything.has(ref)

        for loaded in built:
            self._add(loaded.findings)
            self._check(loaded.manifests, exists, loaded.findings)
        for unit in units_of(plain):
            self._check(unit, exists)
        self._left_out(layout)
        loose = [*plain, *(m for loaded in built for m in loaded.manifests)]
        self.bundles.append(_unnamed(loose))

    def _left_out(self, layout: Layout) -> None:
        for chart in layout.charts:
            message = "a Helm chart is not rendered, so its templates are not checked"
            fix = "Validate the output of `helm template`."
            self._note("helm-chart-skipped", "info", f"{chart}/" if chart else "", message, fix)
        for stray in layout.strays:
            message = "the file holds no Kubernetes object"
            self._note("not-an-object", "info", stray, message, "")

    def _check(
        self,
        manifests: Sequence[LoadedManifest],
        exists: Exists | None,
        loading: Sequence[Finding] = (),
    ) -> None:
        self._objects += len(manifests)
        self._add(check(manifests, self._schemas, exists, loading=loading))

    def _add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            # Several builds may stand on one base: its mistake is one mistake.
            key = (finding.rule, finding.file, finding.line, finding.path, finding.message)
            self._findings.setdefault(key, finding)

    def _note(self, rule: str, severity: Severity, file: str, message: str, fix: str) -> None:
        self._add([Finding(rule=rule, severity=severity, file=file, message=message, fix=fix)])


def _unnamed(manifests: Iterable[LoadedManifest]) -> Bundle:
    """The objects of a folder without environments."""
    return Bundle(
        environment="",
        namespace="default",
        policy=digest_of(b""),
        manifests=apply_order(loaded.manifest for loaded in manifests),
    )


def _below(files: FolderFiles, folder: str) -> dict[str, bytes]:
    return {path: files[path] for path in files if path.startswith(f"{folder}/")}


def _repetitions(manifests: list[LoadedManifest]) -> Iterator[Finding]:
    """Repeated objects: a mistake in one file, doubtful in one folder, variants elsewhere."""
    folders: dict[str, list[LoadedManifest]] = {}
    for manifest in manifests:
        folders.setdefault(posixpath.dirname(manifest.manifest.file), []).append(manifest)
    for inside in folders.values():
        by_file: dict[str, list[LoadedManifest]] = {}
        for manifest in inside:
            by_file.setdefault(manifest.manifest.file, []).append(manifest)
        certain = [finding for group in by_file.values() for finding in duplicates(group)]
        yield from certain
        places = {(finding.file, finding.line) for finding in certain}
        for finding in duplicates(inside):
            if (finding.file, finding.line) not in places:
                yield finding.model_copy(update={"severity": "warning"})
