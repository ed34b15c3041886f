"""Helm hooks: objects that Helm itself would apply at certain moments."""

from pilothouse.gitops.manifests.loader import Loaded, LoadedManifest
from pilothouse.models.findings import Finding

HOOK = "helm.sh/hook"
_TESTS = frozenset({"test", "test-success", "test-failure"})
_ORDINARY = frozenset({"crd-install"})
"""Helm 2's way to apply a definition first, which every apply of ours does."""
_DEPLOYING = frozenset({"post-install", "post-upgrade", "pre-install", "pre-upgrade"})


def without_hooks(loaded: Loaded) -> Loaded:
    """The objects that are applied: hooks are left out, and all but tests are said.

    A hook runs at a moment of a Helm release, and there is none here. As an ordinary object it
    would run at the wrong one: a `pre-delete` job with every deployment.
    """
    kept: list[LoadedManifest] = []
    findings = list(loaded.findings)
    for manifest in loaded.manifests:
        events = _events(manifest)
        if not events or events & _ORDINARY:
            kept.append(manifest)
        elif not events <= _TESTS:
            findings.append(_left_out(manifest, events))
    return Loaded(tuple(kept), tuple(findings))


def _events(manifest: LoadedManifest) -> set[str]:
    metadata = manifest.body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    hook = annotations.get(HOOK) if isinstance(annotations, dict) else None
    return {event.strip() for event in hook.split(",")} if isinstance(hook, str) else set()


def _left_out(manifest: LoadedManifest, events: set[str]) -> Finding:
    return manifest.finding(
        "helm-hook",
        "warning" if events & _DEPLOYING else "info",
        f"a Helm hook ({', '.join(sorted(events))}) is not applied: there is no Helm release",
        fix="Make it an ordinary object without the annotation, switch it off by a value, or run "
        "its work in another way.",
    )
