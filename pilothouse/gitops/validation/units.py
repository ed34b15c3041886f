"""Which files of a repository belong together, where nobody declared it."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pilothouse.gitops.manifests.documents import decode, read_documents
from pilothouse.gitops.manifests.folders import chart_folders, holds_objects
from pilothouse.gitops.manifests.kustomization import KUSTOMIZATION_NAMES, inspect
from pilothouse.gitops.manifests.loader import LoadedManifest, duplicates, is_manifest_file
from pilothouse.gitops.validation.shapes import mapping, text
from pilothouse.models.findings import Finding

_KUSTOMIZE_GROUP = "kustomize.config.k8s.io/"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files of a folder are to be read."""

    builds: tuple[str, ...]
    """Folders whose kustomization is built: those that no other one of the folder names."""
    plain: tuple[str, ...]
    """Files that hold objects as they are."""
    charts: tuple[str, ...]
    """Folders of Helm charts; nothing below them is read."""
    strays: tuple[str, ...]
    """YAML files that hold no objects."""


def layout_of(files: Mapping[str, bytes]) -> Layout:
    """Sort the files of a folder into builds, plain manifests, charts and the rest."""
    charts = tuple(chart_folders(files))
    readable = [
        path for path in sorted(files) if is_manifest_file(path) and not _below(path, charts)
    ]
    kinds = {
        posixpath.dirname(path): kind
        for path in files
        if posixpath.basename(path) in KUSTOMIZATION_NAMES
        and not _below(path, charts)
        and (kind := _kustomization_kind(files[path], path))
    }
    inspections = {folder: inspect(files, folder) for folder in sorted(kinds)}
    named = {inner for build in inspections.values() for inner in build.folders[1:]}
    builds = tuple(
        folder for folder in inspections if folder not in named and kinds[folder] != "Component"
    )
    used = frozenset(path for build in inspections.values() for path in build.used)
    folders = tuple(kinds)
    loose = [path for path in readable if path not in used and not _below(path, folders)]
    plain, strays = [], []
    for path in loose:
        if holds_objects(files[path]):
            plain.append(path)
        elif not path.lower().endswith(".json"):
            strays.append(path)
    return Layout(builds, tuple(plain), charts, tuple(strays))


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(not folder or path == folder or path.startswith(f"{folder}/") for folder in folders)


def _kustomization_kind(data: bytes, path: str) -> str:
    """`Kustomization`, `Component`, or empty: Flux has objects in files of the same name."""
    content = decode(data, path)
    documents = () if isinstance(content, Finding) else read_documents(content, path).documents
    body = mapping(documents[0].value) if documents else {}
    api_version = text(body.get("apiVersion"))
    if api_version and not api_version.startswith(_KUSTOMIZE_GROUP):
        return ""
    return text(body.get("kind")) or "Kustomization"


def units_of(
    manifests: Sequence[LoadedManifest], folder: str = ""
) -> Iterator[list[LoadedManifest]]:
    """Plain manifests that can be applied together.

    A tree without repeated objects is one unit. One with repetitions holds alternatives, such as
    a folder for each variant: then each inner folder is looked at by itself, at last each file.
    """
    if not _repeats(manifests):
        if manifests:
            yield list(manifests)
        return
    groups: dict[str, list[LoadedManifest]] = {}
    for manifest in manifests:
        groups.setdefault(_step_below(manifest.manifest.file, folder), []).append(manifest)
    for step, group in groups.items():
        if len(groups) == 1 and step == folder:
            yield group
        else:
            yield from units_of(group, step)


def _step_below(file: str, folder: str) -> str:
    """The first folder, or the file itself, on the way from a folder to a file."""
    if file == folder:
        return folder
    start = len(folder) + 1 if folder else 0
    step = file[start:].split("/")[0]
    return posixpath.join(folder, step)


def _repeats(manifests: Sequence[LoadedManifest]) -> bool:
    refs = [(m.ref.group, m.ref.kind, m.ref.namespace, m.ref.name) for m in manifests]
    return len(set(refs)) < len(refs)


def repetitions(manifests: Iterable[LoadedManifest]) -> Iterator[Finding]:
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
