"""Validate any folder or file of manifests on disk, whatever its layout."""

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from pilothouse.clients.folder_files import MOST_BYTES, FolderFiles
from pilothouse.clients.helm import HelmProgram
from pilothouse.clients.kustomize import build_kustomization
from pilothouse.clients.schemas import DEFAULT_VERSION, built_in_schemas
from pilothouse.gitops.manifests.builder import Limits
from pilothouse.gitops.manifests.folders import below, manifest_root
from pilothouse.gitops.manifests.helm.releases import Helm
from pilothouse.gitops.manifests.helm.standalone import render_standalone
from pilothouse.gitops.manifests.images import Resolver
from pilothouse.gitops.manifests.kustomization import KUSTOMIZATION_NAMES
from pilothouse.gitops.manifests.loader import (
    LoadedManifest,
    is_manifest_file,
    load,
)
from pilothouse.gitops.manifests.render import (
    Kustomize,
    build,
    bundle,
    loose_bundle,
    render,
    resolved,
)
from pilothouse.gitops.pipeline_file import PIPELINE_FILE, parse_pipeline
from pilothouse.gitops.validation.checks import check
from pilothouse.gitops.validation.object_set import Exists, ObjectSet
from pilothouse.gitops.validation.practice import ValidationPolicy
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.gitops.validation.units import Layout, layout_of, repetitions, units_of
from pilothouse.models.errors import PermanentError
from pilothouse.models.findings import Finding, Severity, ValidationReport, report
from pilothouse.models.objects import Bundle, ObjectRef
from pilothouse.models.pipeline import Pipeline, PodSecurityLevel

_PIPELINE_KEY = re.compile(rb"^(pipeline|workflow)\s*:", re.MULTILINE)
_BUILDS_AT_ONCE = 4
_OWN_LIMITS = Limits(size_bytes=MOST_BYTES, nodes=200_000)


@dataclass(frozen=True)
class Folder:
    """What a folder holds, and what is wrong with it."""

    report: ValidationReport
    """Every finding: nothing is left out."""
    bundles: tuple[Bundle, ...]
    """What would be applied, in apply order: one bundle for each environment of a pipeline file,
    else one with an empty environment. Empty where something could not be loaded."""
    pipeline: Pipeline | None = None
    """What the pipeline file declares; None without one, or if it is wrong."""


def validate_folder(
    path: Path,
    *,
    kubernetes_version: str = DEFAULT_VERSION,
    kustomize: Kustomize = build_kustomization,
    pod_security: PodSecurityLevel | None = None,
    today: date | None = None,
) -> ValidationReport:
    """Validate a folder or one file: the report of `read_folder`."""
    return read_folder(
        path,
        kubernetes_version=kubernetes_version,
        kustomize=kustomize,
        pod_security=pod_security,
        today=today,
    ).report


def read_folder(
    path: Path,
    *,
    kubernetes_version: str = DEFAULT_VERSION,
    kustomize: Kustomize = build_kustomization,
    pod_security: PodSecurityLevel | None = None,
    today: date | None = None,
) -> Folder:
    """Load and validate a folder or one file.

    A folder with a pipeline file of ours is validated as it would be deployed, once for each
    environment. In any other folder each kustomization that no other one names is built; files
    below kustomizations are not read by themselves; Helm charts are rendered with their own values
    if there is a helm program; the remaining files are plain manifests; hidden folders and links
    are left out. The options are those of `read_files`.

    Returns:
        The objects, and all findings, each once, with paths below the folder.

    Raises:
        PermanentError: `InvalidRequest`: the path does not exist, holds no YAML or JSON at all, or
            is no folder of manifests.
    """
    return read_files(
        _open(path),
        kubernetes_version=kubernetes_version,
        kustomize=kustomize,
        pod_security=pod_security,
        today=today,
    )


def read_files(
    files: Mapping[str, bytes],
    *,
    kubernetes_version: str = DEFAULT_VERSION,
    kustomize: Kustomize = build_kustomization,
    helm: Helm | None = None,
    images: Resolver | None = None,
    validated: bool = True,
    pod_security: PodSecurityLevel | None = None,
    today: date | None = None,
) -> Folder:
    """Load and validate files wherever they are, as `read_folder` does those of a folder.

    Args:
        files: path below the folder -> content.
        kubernetes_version: whose schemas to check with.
        kustomize: builds kustomizations.
        helm: renders charts; by default the program of this machine, if there is one.
        images: gives digests for image tags to the environments that ask for them; without it
            no network is used, the tags stay, and that is said.
        validated: false: objects are loaded only, which finds what does not load and no more.
        pod_security: the level for every pod; by default each environment's, or its namespace's.
        today: the day on which exceptions must still hold; without it none has expired.
    """
    schemas = SchemaCheck(built_in_schemas(kubernetes_version)) if validated else None
    helm = helm or HelmProgram(kubernetes_version=kubernetes_version)
    policy = ValidationPolicy(pod_security=pod_security, today=today)
    links = files.left_out if isinstance(files, FolderFiles) else {}
    validation = _Validation(files, schemas, kustomize, helm, images, policy, links)
    data = files.get(PIPELINE_FILE)
    if data is not None and _PIPELINE_KEY.search(data):
        validation.of_pipeline(data)
    else:
        validation.layout(layout_of(files))
    return Folder(validation.report(), tuple(validation.bundles), validation.pipeline)


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

    def __init__(
        self,
        files: Mapping[str, bytes],
        schemas: SchemaCheck | None,
        kustomize: Kustomize,
        helm: Helm,
        images: Resolver | None,
        policy: ValidationPolicy,
        links: Mapping[str, str],
    ) -> None:
        self._files = files
        self._links = links
        self._schemas = schemas
        self._kustomize = kustomize
        self._helm = helm
        self._images = images
        self._findings: dict[tuple[str, str, int, str, str], Finding] = {}
        self._objects = 0
        self._policy = policy
        self.bundles: list[Bundle] = []
        self.pipeline: Pipeline | None = None

    def report(self) -> ValidationReport:
        """The sum of it."""
        if not self._objects and all(f.severity == "info" for f in self._findings.values()):
            message = "nothing was checked: there is no Kubernetes object here"
            fix = "Name a folder of manifests."
            self._note("nothing-checked", "warning", "", message, fix)
        return report(list(self._findings.values()), self._objects, limit=None)

    def of_pipeline(self, data: bytes) -> None:
        """Each environment as it would be deployed."""
        pipeline, findings = parse_pipeline(data)
        self._add(findings)
        self.pipeline = pipeline
        if pipeline is None:
            return
        self._policies(pipeline.policies)
        for environment in pipeline.environments:
            self._environment(pipeline, environment)
        if not pipeline.environments:
            root = manifest_root(pipeline)
            inside = {path: self._files[path] for path in self._files if below(path, root)}
            self.layout(layout_of(inside))

    def _policies(self, folder: str) -> None:
        """The repository's own rules; most have none, and CEL is not imported for nothing."""
        if self._schemas is None or not any(path.startswith(f"{folder}/") for path in self._files):
            return
        from pilothouse.gitops.validation.policies.loading import load_policies

        own = load_policies(self._files, folder, self._schemas)
        self._add(own.findings)
        self._policy = replace(self._policy, own_rules=own.checks)

    def _environment(self, pipeline: Pipeline, environment: str) -> None:
        rendered = render(
            self._files, pipeline, environment, self._kustomize, self._helm, self._links
        )
        if pipeline.environments[environment].resolve_images:
            if self._images is not None:
                rendered = resolved(rendered, self._images)
            else:
                message = (
                    f"image tags of {environment} become digests when it is deployed, not here"
                )
                self._note("image-unresolved", "info", PIPELINE_FILE, message, "")
        self._add(rendered.findings)
        declared = pipeline.environments[environment]
        policy = replace(
            self._policy,
            namespace=declared.namespace,
            pod_security=self._policy.pod_security or declared.pod_security,
        )
        self._check(rendered.manifests, None, rendered.findings, policy)
        self.bundles.append(bundle(rendered, pipeline, environment))

    def layout(self, layout: Layout) -> None:
        """Builds, plain manifests, and a word about what is left out."""
        with ThreadPoolExecutor(_BUILDS_AT_ONCE) as pool:
            built = [
                *pool.map(
                    lambda folder: build(self._files, folder, self._kustomize), layout.builds
                ),
                *pool.map(
                    lambda folder: render_standalone(self._files, folder, self._helm),
                    layout.charts,
                ),
            ]
        plain: list[LoadedManifest] = []
        for path in layout.plain:
            loaded = load(self._files[path], path, strays="info", limits=_OWN_LIMITS)
            self._add(loaded.findings)
            plain += loaded.manifests
        self._add(repetitions(plain))
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
        self.bundles.append(loose_bundle(loose))

    def _left_out(self, layout: Layout) -> None:
        for stray in layout.strays:
            message = "the file holds no Kubernetes object"
            self._note("not-an-object", "info", stray, message, "")

    def _check(
        self,
        manifests: Sequence[LoadedManifest],
        exists: Exists | None,
        loading: Sequence[Finding] = (),
        policy: ValidationPolicy | None = None,
    ) -> None:
        self._objects += len(manifests)
        if self._schemas is not None:
            policy = policy or self._policy
            self._add(check(manifests, self._schemas, exists, loading=loading, policy=policy))

    def _add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            # Several builds may stand on one base: its mistake is one mistake.
            key = (finding.rule, finding.file, finding.line, finding.path, finding.message)
            self._findings.setdefault(key, finding)

    def _note(self, rule: str, severity: Severity, file: str, message: str, fix: str) -> None:
        self._add([Finding(rule=rule, severity=severity, file=file, message=message, fix=fix)])
