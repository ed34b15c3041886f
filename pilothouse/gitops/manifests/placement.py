"""Every object in the namespace of its environment."""

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.scopes import Scopes
from pilothouse.models.findings import Finding
from pilothouse.models.pipeline import Environment


def placed(
    manifests: list[LoadedManifest], environment: str, declared: Environment
) -> tuple[list[LoadedManifest], list[Finding]]:
    """Each object in the environment's namespace, and a finding for each that cannot be."""
    scopes = Scopes(manifest.body for manifest in manifests)
    result: list[LoadedManifest] = []
    findings: list[Finding] = []
    for manifest in manifests:
        ref = manifest.ref
        namespaced = scopes.is_namespaced(ref.group, ref.kind)
        if namespaced and not ref.namespace:
            manifest = _in_namespace(manifest, declared.namespace)
        result.append(manifest)
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
    return result, findings


def _in_namespace(manifest: LoadedManifest, namespace: str) -> LoadedManifest:
    metadata = manifest.body.get("metadata")
    fields: dict[str, JsonValue] = dict(metadata) if isinstance(metadata, dict) else {}
    return manifest.with_body(manifest.body | {"metadata": fields | {"namespace": namespace}})
