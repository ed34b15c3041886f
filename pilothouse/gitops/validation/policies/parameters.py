"""The parameters of policies: objects in the folder of policies."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import selects
from pilothouse.gitops.validation.shapes import at, mapping, text


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is in the folder beside policies and bindings."""

    manifests: Sequence[LoadedManifest]

    def has(self, kind: tuple[str, str]) -> bool:
        """Whether there is any of this apiVersion and kind."""
        return any((m.ref.api_version, m.ref.kind) == kind for m in self.manifests)

    def of(
        self, kind: tuple[str, str], reference: dict[str, JsonValue], namespace: str
    ) -> list[dict[str, JsonValue]]:
        """The parameters that a binding's `paramRef` names for objects of a namespace.

        Without a reference, as without a binding, all of the kind. A parameter that names no
        namespace is taken to be in each.
        """
        wanted = text(reference.get("namespace")) or namespace
        name = text(reference.get("name"))
        return [
            manifest.body
            for manifest in self.manifests
            if (manifest.ref.api_version, manifest.ref.kind) == kind
            and (not name or manifest.ref.name == name)
            and (not manifest.ref.namespace or not wanted or manifest.ref.namespace == wanted)
            and selects(reference.get("selector"), mapping(at(manifest.body, "metadata", "labels")))
        ]
