"""One build of Kustomize: inspected, filled, run, and traced back to the files in Git."""

from collections.abc import Callable, Mapping

from pilothouse.gitops.manifests.kustomization import inspect, kustomization_in
from pilothouse.gitops.manifests.kustomization_values import fill
from pilothouse.gitops.manifests.loader import Loaded, joined, load
from pilothouse.gitops.manifests.sources import trace
from pilothouse.gitops.manifests.substitution import substitute
from pilothouse.gitops.manifests.values import Values
from pilothouse.models.errors import PermanentError
from pilothouse.models.findings import Finding

Kustomize = Callable[[Mapping[str, bytes], str], bytes]
"""Builds one folder of some files to a YAML stream; `PermanentError` if it cannot."""


def build(
    files: Mapping[str, bytes], folder: str, kustomize: Kustomize, values: Values | None = None
) -> Loaded:
    """Build one kustomization, and find for each object the place in Git where it comes from.

    If it cannot be built, the objects that would go in are returned beside the errors, so that
    what is wrong with them can be told at the same time.

    Args:
        files: the snapshot.
        folder: the folder to build; empty for the root.
        kustomize: runs Kustomize; called at most once, and only if nothing was found before.
        values: the environment's values; without them double braces are text.
    """
    loaded = _build(files, folder, kustomize, values)
    return loaded if values is None else with_values(loaded, values)


def with_values(loaded: Loaded, values: Values) -> Loaded:
    """Objects that were loaded with placeholders, with their values, and what is wrong."""
    results = [substitute(manifest, values) for manifest in loaded.manifests]
    findings = [finding for result in results for finding in result.findings]
    return Loaded(tuple(result.manifest for result in results), (*loaded.findings, *findings))


def _build(
    files: Mapping[str, bytes], folder: str, kustomize: Kustomize, values: Values | None
) -> Loaded:
    inspection = inspect(files, folder)
    sources = joined(
        load(files[path], path, placeholders=values is not None) for path in inspection.resources
    )
    findings = (*inspection.findings, *sources.findings)
    if findings:
        return Loaded(sources.manifests, findings)
    used = {path: files[path] for path in sorted(inspection.used)}
    if values is not None:
        filled = fill(files, inspection, values)
        used, findings = filled.files, filled.findings
    if any(finding.severity == "error" for finding in findings):
        return Loaded(sources.manifests, findings)
    entry = kustomization_in(files, folder) or folder
    try:
        output = kustomize(used, folder)
    except PermanentError as error:
        return Loaded(sources.manifests, (*findings, _refused(entry, folder, error)))
    traced = trace(output, sources.manifests, entry)
    return Loaded(traced.manifests, (*findings, *traced.findings))


def _refused(entry: str, folder: str, error: PermanentError) -> Finding:
    return Finding(
        rule="kustomize",
        severity="error",
        file=entry,
        line=1,
        message=f"Kustomize cannot build {folder or 'the root folder'}: {error}",
        fix="Correct the kustomization, or the file that the message names.",
    )
