"""One environment's objects from one revision's files."""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from pilothouse.gitops.manifests.kustomization import (
    KUSTOMIZATION_NAMES,
    inspect,
    kustomization_in,
)
from pilothouse.gitops.manifests.loader import (
    Loaded,
    LoadedManifest,
    duplicates,
    is_manifest_file,
    load,
)
from pilothouse.gitops.manifests.order import apply_order
from pilothouse.gitops.manifests.placeholders import shield
from pilothouse.gitops.manifests.scopes import Scopes
from pilothouse.gitops.manifests.sources import trace
from pilothouse.gitops.manifests.substitution import Values, read_values, substitute
from pilothouse.models.errors import PermanentError
from pilothouse.models.findings import Finding, verdict_of
from pilothouse.models.objects import Bundle, canonical_json, digest_of
from pilothouse.models.pipeline import Environment, Pipeline

Kustomize = Callable[[Mapping[str, bytes], str], bytes]
"""Builds one folder of some files to a YAML stream; `PermanentError` if it cannot."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one revision puts into one environment, and what is wrong with it."""

    manifests: tuple[LoadedManifest, ...]
    """In the order of their files; `bundle` puts them in apply order."""
    findings: tuple[Finding, ...]


def render(
    files: Mapping[str, bytes], pipeline: Pipeline, environment: str, kustomize: Kustomize
) -> Rendered:
    """The objects of one environment, with its values and its namespace.

    Args:
        files: the revision's regular files, by path from the repository's root.
        pipeline: the pipeline file that governs the run.
        environment: one of its environments.
        kustomize: runs Kustomize; called at most once, and only if the inspection of everything
            that it would read found nothing.

    Returns:
        The objects, and all problems at once. With any error among them, nothing may be applied.

    Raises:
        KeyError: the pipeline has no such environment.
    """
    declared = pipeline.environments[environment]
    values = environment_values(files, pipeline, environment)
    loaded = _load(files, pipeline, environment, kustomize)
    findings = [*values.findings, *loaded.findings]
    substituted: list[LoadedManifest] = []
    for manifest in loaded.manifests:
        result = substitute(manifest, values)
        substituted.append(result.manifest)
        findings += result.findings
    manifests, misplaced = _placed(substituted, environment, declared)
    findings += misplaced
    findings += duplicates(manifests)
    if not manifests and verdict_of(findings) != "block":
        findings.append(_empty(pipeline.manifests, environment))
    return Rendered(tuple(manifests), tuple(findings))


def bundle(rendered: Rendered, pipeline: Pipeline, environment: str) -> Bundle:
    """The plan's objects in apply order, tied to the environment's declaration.

    Raises:
        KeyError: the pipeline has no such environment.
    """
    declared = pipeline.environments[environment]
    return Bundle(
        environment=environment,
        namespace=declared.namespace,
        policy=digest_of(canonical_json(declared.model_dump(mode="json"))),
        manifests=apply_order(loaded.manifest for loaded in rendered.manifests),
    )


def environment_values(files: Mapping[str, bytes], pipeline: Pipeline, environment: str) -> Values:
    """The values for `{{name}}`: all of `configs/`, then the environment's own file over it.

    The own file is the one that the pipeline file names, else `configs/<environment>.yaml`. The
    files of other environments are not read.
    """
    own_files = {
        name: _own_values(files, pipeline, name, declared)
        for name, declared in pipeline.environments.items()
    }
    own = own_files[environment]
    taken = {path for path in own_files.values() if path is not None}
    shared = [
        path
        for path in files
        if path.startswith(f"{pipeline.configs}/") and is_manifest_file(path) and path not in taken
    ]
    missing = own is not None and own not in files
    values = read_values(files, shared, [own] if own is not None and not missing else [])
    if not missing:
        return values
    finding = Finding(
        rule="values-file-missing",
        severity="error",
        file="pipeline.yaml",
        path=f"/pipeline/environments/{environment}/configs",
        message=f"the values file {own} of environment {environment} does not exist",
        fix="Add the file, or correct its path.",
    )
    return Values(values.known, values.disputed, (*values.findings, finding))


def _own_values(
    files: Mapping[str, bytes], pipeline: Pipeline, name: str, declared: Environment
) -> str | None:
    if declared.configs is not None:
        return declared.configs
    default = f"{pipeline.configs}/{name}.yaml"
    return default if default in files else None


def _load(
    files: Mapping[str, bytes], pipeline: Pipeline, environment: str, kustomize: Kustomize
) -> Loaded:
    root = pipeline.manifests
    for folder in (f"{root}/overlays/{environment}", f"{root}/{environment}", root):
        if kustomization_in(files, folder) is not None:
            return build(files, folder, kustomize, placeholders=True)
    stranded = [
        path
        for path in files
        if path.startswith(f"{root}/") and posixpath.basename(path) in KUSTOMIZATION_NAMES
    ]
    if stranded:
        return Loaded((), (_no_overlay(root, environment, min(stranded)),))
    paths = _plain_files(files, pipeline, environment)
    return _joined(load(files[path], path, placeholders=True) for path in paths)


def build(
    files: Mapping[str, bytes],
    folder: str,
    kustomize: Kustomize,
    *,
    placeholders: bool = False,
) -> Loaded:
    """Build one kustomization, and find for each object the place in Git where it comes from.

    If it cannot be built, the objects that would go in are returned beside the errors, so that
    what is wrong with them can be told at the same time.
    """
    inspection = inspect(files, folder)
    sources = _joined(
        load(files[path], path, placeholders=placeholders) for path in inspection.resources
    )
    findings = (*inspection.findings, *sources.findings)
    if findings:
        return Loaded(sources.manifests, findings)
    used = {path: files[path] for path in sorted(inspection.used)}
    if placeholders:
        used = {path: _shielded(data) for path, data in used.items()}
    entry = kustomization_in(files, folder) or folder
    try:
        output = kustomize(used, folder)
    except PermanentError as error:
        problem = Finding(
            rule="kustomize",
            severity="error",
            file=entry,
            line=1,
            message=f"Kustomize cannot build {folder or 'the root folder'}: {error}",
            fix="Correct the kustomization, or the file that the message names.",
        )
        return Loaded(sources.manifests, (problem,))
    return trace(output, sources.manifests, entry)


def _shielded(data: bytes) -> bytes:
    """Placeholders as tokens; files that are not text stay as they are."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    shielded = shield(text, "")
    return shielded.encode() if isinstance(shielded, str) else data


def _plain_files(files: Mapping[str, bytes], pipeline: Pipeline, environment: str) -> Iterator[str]:
    """The manifests in path order, without the folders that are named for other environments.

    Releases often come as one file: `manifests` may name it.
    """
    root = pipeline.manifests
    if root in files:
        yield root
    others = tuple(f"{root}/{name}/" for name in pipeline.environments if name != environment)
    for path in sorted(files):
        if path.startswith(f"{root}/") and not path.startswith(others) and is_manifest_file(path):
            yield path


def _joined(parts: Iterable[Loaded]) -> Loaded:
    manifests: list[LoadedManifest] = []
    findings: list[Finding] = []
    for part in parts:
        manifests += part.manifests
        findings += part.findings
    return Loaded(tuple(manifests), tuple(findings))


def _placed(
    manifests: list[LoadedManifest], environment: str, declared: Environment
) -> tuple[list[LoadedManifest], list[Finding]]:
    """Each object in the environment's namespace, and a finding for each that cannot be."""
    scopes = Scopes(manifest.body for manifest in manifests)
    placed: list[LoadedManifest] = []
    findings: list[Finding] = []
    for manifest in manifests:
        ref = manifest.ref
        namespaced = scopes.is_namespaced(ref.group, ref.kind)
        if namespaced and not ref.namespace:
            manifest = _in_namespace(manifest, declared.namespace)
        placed.append(manifest)
        if declared.cluster_scoped:
            continue
        if not namespaced:
            findings.append(
                manifest.finding(
                    "cluster-scoped",
                    "error",
                    f"{ref} belongs to the whole cluster; environment {environment} may only "
                    f"write to namespace {declared.namespace}",
                    path="/kind",
                    fix="Remove it, or set cluster_scoped: true for the environment.",
                )
            )
        elif ref.namespace and ref.namespace != declared.namespace:
            findings.append(
                manifest.finding(
                    "other-namespace",
                    "error",
                    f"{ref} names another namespace; environment {environment} writes to "
                    f"{declared.namespace}",
                    path="/metadata/namespace",
                    fix="Remove metadata.namespace, or set cluster_scoped: true.",
                )
            )
    return placed, findings


def _in_namespace(manifest: LoadedManifest, namespace: str) -> LoadedManifest:
    metadata = manifest.body.get("metadata")
    fields: dict[str, JsonValue] = dict(metadata) if isinstance(metadata, dict) else {}
    return manifest.with_body(manifest.body | {"metadata": fields | {"namespace": namespace}})


def _empty(root: str, environment: str) -> Finding:
    return Finding(
        rule="empty-manifests",
        severity="error",
        file=root,
        message=f"there is nothing to apply for environment {environment}; an empty source never "
        "deletes what runs",
        fix=f"Add manifests below {root}/, or correct `manifests` in the pipeline file.",
    )


def _no_overlay(root: str, environment: str, example: str) -> Finding:
    return Finding(
        rule="kustomize-overlay-missing",
        severity="error",
        file=example,
        line=1,
        message=f"{root}/ holds kustomizations, but none for environment {environment}",
        fix=f"Add {root}/overlays/{environment}/kustomization.yaml.",
    )
