"""One environment's objects from one revision's files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pilothouse.gitops.manifests.folders import (
    chart_folders,
    folders_for,
    holds_objects,
    kustomizations_below,
    left_out_findings,
    manifest_root,
    plain_files,
    shared_paths,
)
from pilothouse.gitops.manifests.helm.chart import is_chart
from pilothouse.gitops.manifests.helm.releases import Helm, render_chart
from pilothouse.gitops.manifests.images import Resolver, pinned
from pilothouse.gitops.manifests.kustomization import kustomization_in
from pilothouse.gitops.manifests.kustomize_build import Kustomize, build, with_values
from pilothouse.gitops.manifests.loader import Loaded, LoadedManifest, duplicates, joined, load
from pilothouse.gitops.manifests.order import apply_order
from pilothouse.gitops.manifests.placement import placed
from pilothouse.gitops.manifests.values import Values, environment_values
from pilothouse.models.findings import Finding, verdict_of
from pilothouse.models.objects import Bundle, canonical_json, digest_of
from pilothouse.models.pipeline import Pipeline

__all__ = ["Helm", "Kustomize", "Rendered", "build", "bundle", "loose_bundle", "render", "resolved"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one revision puts into one environment, and what is wrong with it."""

    manifests: tuple[LoadedManifest, ...]
    """In the order of their files; `bundle` puts them in apply order."""
    findings: tuple[Finding, ...]


def render(
    files: Mapping[str, bytes],
    pipeline: Pipeline,
    environment: str,
    kustomize: Kustomize,
    helm: Helm | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Rendered:
    """The objects of one environment, with its values and its namespace.

    Args:
        files: the revision's regular files, by path from the repository's root.
        pipeline: the pipeline file that governs the run.
        environment: one of its environments.
        kustomize: runs Kustomize; called at most once, and only if the inspection of everything
            that it would read found nothing.
        helm: renders a chart, under the same condition; without one a chart is an error.
        left_out: what the revision has besides regular files: path -> e.g. `a symbolic link`.

    Returns:
        The objects, and all problems at once. With any error among them, nothing may be applied.

    Raises:
        KeyError: the pipeline has no such environment.
    """
    declared = pipeline.environments[environment]
    values = environment_values(files, pipeline, environment)
    loaded = _Sources(files, pipeline, environment, values, kustomize, helm).load()
    links = left_out_findings(left_out or {}, pipeline, environment)
    findings = [*links, *values.findings, *loaded.findings]
    manifests, misplaced = placed(list(loaded.manifests), environment, declared)
    findings += misplaced
    findings += duplicates(manifests)
    if not manifests and verdict_of(findings) != "block":
        findings.append(_empty(pipeline.manifests, environment))
    return Rendered(tuple(manifests), tuple(findings))


def resolved(rendered: Rendered, resolver: Resolver) -> Rendered:
    """The same objects with a digest for every image tag; see `pinned`."""
    loaded = pinned(rendered.manifests, resolver)
    return Rendered(loaded.manifests, (*rendered.findings, *loaded.findings))


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


def loose_bundle(manifests: Iterable[LoadedManifest]) -> Bundle:
    """The objects of a folder without environments, in apply order."""
    return Bundle(
        environment="",
        namespace="default",
        policy=digest_of(b""),
        manifests=apply_order(loaded.manifest for loaded in manifests),
    )


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where one environment's objects come from: a kustomization, charts, or plain files."""

    files: Mapping[str, bytes]
    pipeline: Pipeline
    environment: str
    values: Values
    kustomize: Kustomize
    helm: Helm | None

    def load(self) -> Loaded:
        root = manifest_root(self.pipeline)
        for folder in folders_for(root, self.environment):
            if kustomization_in(self.files, folder) is not None:
                return build(self.files, folder, self.kustomize, self.values)
            if is_chart(self.files, folder):
                return self._chart(folder)
        stranded = kustomizations_below(self.files, self.pipeline)
        if stranded:
            return Loaded((), (_no_overlay(root, self.environment, min(stranded)),))
        charts = chart_folders(shared_paths(self.files, self.pipeline, self.environment))
        return joined([self._plain(root), *(self._chart(folder) for folder in charts)])

    def _plain(self, root: str) -> Loaded:
        loaded = joined(
            load(self.files[path], path, placeholders=True)
            for path in plain_files(self.files, self.pipeline, self.environment)
            # A repository's root holds much that is no manifest.
            if root or holds_objects(self.files[path])
        )
        return with_values(loaded, self.values)

    def _chart(self, folder: str) -> Loaded:
        namespace = self.pipeline.environments[self.environment].namespace
        return render_chart(self.files, folder, namespace, self.values, self.helm)


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
