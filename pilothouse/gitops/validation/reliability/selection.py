"""Which selectors select a pod: one look-up instead of one comparison for each pair."""

from collections.abc import Iterable, Iterator

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import (
    ObjectSet,
    PodTemplate,
    same_namespace,
    selects,
)
from pilothouse.gitops.validation.shapes import at, mapping

_Entry = tuple[LoadedManifest, JsonValue]


class SelectorIndex:
    """Objects that select pods by labels, found by the labels of a pod."""

    def __init__(self, entries: Iterable[tuple[LoadedManifest, JsonValue]]) -> None:
        self._by_label: dict[tuple[str, str], list[_Entry]] = {}
        self._others: list[_Entry] = []
        for manifest, selector in entries:
            label = next(iter(mapping(at(selector, "matchLabels")).items()), None)
            if label is None:
                self._others.append((manifest, selector))
            else:
                self._by_label.setdefault((label[0], str(label[1])), []).append((
                    manifest,
                    selector,
                ))

    def selecting(self, pod: PodTemplate) -> Iterator[LoadedManifest]:
        """The objects of the pod's namespace whose selector selects it."""
        candidates = list(self._others)
        for key, value in pod.labels.items():
            candidates += self._by_label.get((key, str(value)), ())
        for manifest, selector in candidates:
            if same_namespace(manifest.ref.namespace, pod.namespace) and selects(
                selector, pod.labels
            ):
                yield manifest


def services_of(objects: ObjectSet) -> SelectorIndex:
    """Every Service that has a selector."""
    return SelectorIndex(
        (manifest, {"matchLabels": labels})
        for manifest in objects.manifests
        if (manifest.ref.group, manifest.ref.kind) == ("", "Service")
        and (labels := mapping(at(manifest.body, "spec", "selector")))
    )


def budgets_of(objects: ObjectSet) -> SelectorIndex:
    """Every PodDisruptionBudget that selects pods: an empty selector means all since policy/v1."""
    return SelectorIndex(
        (manifest, selector)
        for manifest in objects.manifests
        if manifest.ref.kind == "PodDisruptionBudget"
        and (selector := at(manifest.body, "spec", "selector")) is not None
        and (selector or manifest.ref.api_version != "policy/v1beta1")
    )


class Autoscalers:
    """The HorizontalPodAutoscalers of a set, by what they scale."""

    def __init__(self, objects: ObjectSet) -> None:
        self._by_target: dict[tuple[str, str], list[LoadedManifest]] = {}
        for manifest in objects.manifests:
            if manifest.ref.kind == "HorizontalPodAutoscaler":
                target = mapping(at(manifest.body, "spec", "scaleTargetRef"))
                key = (str(target.get("kind")), str(target.get("name")))
                self._by_target.setdefault(key, []).append(manifest)

    def of(self, manifest: LoadedManifest) -> LoadedManifest | None:
        """The one that scales a workload, if any."""
        for scaler in self._by_target.get((manifest.ref.kind, manifest.ref.name), ()):
            if same_namespace(scaler.ref.namespace, manifest.ref.namespace):
                return scaler
        return None
