"""Which files of a repository are one environment's manifests."""

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from pilothouse.gitops.manifests.kustomization import KUSTOMIZATION_NAMES
from pilothouse.gitops.manifests.loader import is_manifest_file
from pilothouse.models.findings import Finding
from pilothouse.models.pipeline import Pipeline

CHART = "Chart.yaml"
NOT_MANIFESTS = frozenset({"agents", "configs", "docs", "policies", "status"})
"""Folders at the root that hold something else, where the root itself is the manifest folder."""
_OBJECT_KEY = re.compile(rb"""^[\s{-]*["']?(apiVersion|kind)["']?\s*:""", re.MULTILINE)


def manifest_root(pipeline: Pipeline) -> str:
    """The manifest folder, or file, from the repository's root; empty for the root itself."""
    root = posixpath.normpath(pipeline.manifests)
    return "" if root == "." else root


def folders_for(root: str, environment: str) -> tuple[str, ...]:
    """Where an environment's own kustomization or chart may stand, the nearest first."""
    overlay = posixpath.join(root, "overlays", environment)
    return overlay, posixpath.join(root, environment), root


def below(path: str, folder: str) -> bool:
    """Whether a path stands below a folder; everything stands below the root."""
    return not folder or path.startswith(f"{folder}/")


def holds_objects(data: bytes) -> bool:
    """Whether a file looks as if Kubernetes objects were meant."""
    return _OBJECT_KEY.search(data) is not None


def kustomizations_below(files: Iterable[str], pipeline: Pipeline) -> list[str]:
    """Every kustomization file below the manifest folder, whichever environment's it is."""
    root = manifest_root(pipeline)
    reserved = _reserved(pipeline) if not root else ()
    return [
        path
        for path in files
        if posixpath.basename(path) in KUSTOMIZATION_NAMES
        and below(path, root)
        and not path.startswith(reserved)
    ]


def chart_folders(paths: Iterable[str]) -> list[str]:
    """The top-most folders of Helm charts among some paths."""
    found = sorted(
        posixpath.dirname(path)
        for path in paths
        if posixpath.basename(path) == CHART and not is_hidden(path)
    )
    top: list[str] = []
    for folder in found:
        if not any(below(folder, known) for known in top):
            top.append(folder)
    return top


def left_out_findings(
    left_out: Mapping[str, str], pipeline: Pipeline, environment: str
) -> Iterator[Finding]:
    """An error for each manifest or value that is no file: what it means stands elsewhere.

    Without it the objects that a link stands for would be missing from the render, and pruned.

    Args:
        left_out: path -> what stands there, e.g. `a symbolic link`.
        pipeline: says which folders are read.
        environment: whose.
    """
    at_root = not manifest_root(pipeline)
    manifests = set(shared_paths(left_out, pipeline, environment))
    for path, what in sorted(left_out.items()):
        named = is_manifest_file(path)
        if (path in manifests and (named or not at_root)) or below(path, pipeline.configs):
            yield Finding(
                rule="file-left-out",
                severity="error",
                file=path,
                message=f"{what} stands among the manifests or values; it is not followed",
                fix="Commit what it stands for as a file, or move it elsewhere.",
            )


def shared_paths(files: Collection[str], pipeline: Pipeline, environment: str) -> Iterator[str]:
    """Every path below the manifest folder that is not another environment's, in order.

    Releases often come as one file: `manifests` may name it.
    """
    root = manifest_root(pipeline)
    if root in files:
        yield root
    others = tuple(
        posixpath.join(root, name, "") for name in pipeline.environments if name != environment
    )
    reserved = _reserved(pipeline) if not root else ()
    for path in sorted(files):
        if below(path, root) and not path.startswith((*others, *reserved)):
            yield path


def plain_files(files: Mapping[str, bytes], pipeline: Pipeline, environment: str) -> Iterator[str]:
    """The manifests in path order: without other environments' folders, and without charts."""
    paths = list(shared_paths(files, pipeline, environment))
    charts = chart_folders(paths)
    for path in paths:
        if is_manifest_file(path) and not any(below(path, chart) for chart in charts):
            yield path


def is_hidden(path: str) -> bool:
    """Whether a file or a folder on the way to it is hidden."""
    return any(part.startswith(".") for part in path.split("/"))


def _reserved(pipeline: Pipeline) -> tuple[str, ...]:
    declared = {posixpath.normpath(path) for path in (pipeline.configs, pipeline.policies)}
    return (*(f"{name}/" for name in sorted(NOT_MANIFESTS | declared)), "pipeline.yaml", ".")
