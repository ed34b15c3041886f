"""Where in Git an object that Kustomize wrote comes from."""

from collections.abc import Sequence

from pilothouse.gitops.manifests.builder import Limits
from pilothouse.gitops.manifests.loader import Loaded, LoadedManifest, load
from pilothouse.gitops.manifests.places import Place
from pilothouse.models.objects import Manifest

_OUTPUT_LIMITS = Limits(size_bytes=16 * 1024 * 1024)


def trace(output: bytes, sources: Sequence[LoadedManifest], entry: str) -> Loaded:
    """Load what Kustomize wrote, each object with its source's file and lines.

    Args:
        output: the YAML stream.
        sources: the objects that went in.
        entry: the kustomization file: the place of objects that it generates itself.
    """
    loaded = load(output, entry, limits=_OUTPUT_LIMITS)
    by_kind: dict[str, list[LoadedManifest]] = {}
    for source in sources:
        by_kind.setdefault(source.ref.kind, []).append(source)
    manifests = []
    for rendered in loaded.manifests:
        origin = _source(rendered, by_kind.get(rendered.ref.kind, []))
        file, place = (origin.manifest.file, origin.place) if origin else (entry, Place(1))
        manifest = Manifest(file=file, line=place.line, body=rendered.body)
        manifests.append(LoadedManifest(manifest, place))
    findings = tuple(f.model_copy(update={"file": entry, "line": 1}) for f in loaded.findings)
    return Loaded(tuple(manifests), findings)


def _source(rendered: LoadedManifest, candidates: list[LoadedManifest]) -> LoadedManifest | None:
    """The object of the same kind and name; else the longest name that the new one contains.

    Kustomize adds prefixes, suffixes and hashes to names, and never takes anything away.
    """
    ref = rendered.ref
    same = [source for source in candidates if source.ref.name == ref.name]
    if len(same) > 1:
        same = [source for source in same if source.ref.namespace == ref.namespace] or same
    if same:
        return same[0]
    related = [source for source in candidates if source.ref.name in ref.name]
    return max(related, key=lambda source: len(source.ref.name), default=None)
