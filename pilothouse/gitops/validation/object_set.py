"""The objects of one unit, as the references between them see them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.shapes import at, entries, mapping, text
from pilothouse.models.objects import ObjectRef

Exists = Callable[[ObjectRef], bool | None]
"""Whether the cluster has an object; None if that is not known."""

_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "Job": ("spec", "template"),
    "Pod": (),
    "PodTemplate": ("template",),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
}
_WORKLOAD_GROUPS = frozenset({"", "apps", "batch", "extensions"})
_BUILT_IN_GROUPS = frozenset({"", "apps", "autoscaling", "batch", "policy"})
_SECRET_SOURCES: Mapping[str, tuple[str, ...]] = {
    "Certificate": ("spec", "secretName"),
    "ExternalSecret": ("spec", "target", "name"),
    "SealedSecret": ("spec", "template", "metadata", "name"),
}


ContainerKind = Literal["init", "regular", "ephemeral"]
_CONTAINER_FIELDS: Mapping[ContainerKind, str] = {
    "init": "initContainers",
    "regular": "containers",
    "ephemeral": "ephemeralContainers",
}


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod template."""

    kind: ContainerKind
    path: str
    """JSON pointer into the object."""
    name: str
    body: dict[str, JsonValue]
    security: dict[str, JsonValue]
    """Its securityContext; empty if it has none."""


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """The pods that one object makes."""

    owner: LoadedManifest
    kind: str
    """Of the owner, e.g. `Deployment`; `Pod` for a pod by itself."""
    namespace: str
    """Where the pods run; empty if the manifest does not say."""
    path: str
    """JSON pointer of the pod's spec."""
    metadata: dict[str, JsonValue]
    labels: dict[str, JsonValue]
    annotations: dict[str, JsonValue]
    """Of the pods, not of their owner."""
    spec: dict[str, JsonValue]
    security: dict[str, JsonValue]
    """The pod's own securityContext; empty if it has none."""
    containers: tuple[Container, ...]
    """Init containers first, then regular, then ephemeral ones."""

    @property
    def metadata_path(self) -> str:
        """JSON pointer of the pod's metadata."""
        return f"{self.path.removesuffix('/spec')}/metadata"

    def port_names(self) -> set[str]:
        """The names of all its containers' ports."""
        return {
            text(port.get("name"))
            for container in self.containers
            for _, port in entries(container.body.get("ports"))
        }


class ObjectSet:
    """Finds objects by kind, namespace and name.

    A manifest without a namespace may end up in any: it matches each namespace and the other way
    round, so that what is not known is never called missing.
    """

    def __init__(
        self,
        manifests: Iterable[LoadedManifest],
        exists: Exists | None = None,
        *,
        namespace: str = "",
    ) -> None:
        self.manifests = tuple(manifests)
        self.default_namespace = namespace
        """Where objects go that name no namespace; empty if that is not known."""
        self._exists: Exists = exists or (lambda _: None)
        self._named: dict[tuple[str, str], list[LoadedManifest]] = {}
        for manifest in self.manifests:
            self._named.setdefault((manifest.ref.kind, manifest.ref.name), []).append(manifest)
        self.pods = tuple(self._templates())
        self._labelled: dict[tuple[str, str], list[PodTemplate]] = {}
        for pod in self.pods:
            for key, value in pod.labels.items():
                if isinstance(value, str):
                    self._labelled.setdefault((key, value), []).append(pod)
        self.namespaces = frozenset(manifest.ref.namespace for manifest in self.manifests)
        self._made_secrets = {
            (manifest.ref.namespace, self._secret_of(manifest))
            for manifest in self.manifests
            if manifest.ref.kind in _SECRET_SOURCES
        }

    def find(self, kind: str, namespace: str, name: str) -> LoadedManifest | None:
        """The object in this set, if it is here."""
        for manifest in self._named.get((kind, name), ()):
            if same_namespace(manifest.ref.namespace, namespace):
                return manifest
        return None

    def has(self, ref: ObjectRef) -> bool | None:
        """Whether an object is in this set or the cluster; None if that is not known."""
        if self.find(ref.kind, ref.namespace, ref.name) is not None:
            return True
        if ref.kind == "Secret" and any(
            name == ref.name and same_namespace(namespace, ref.namespace)
            for namespace, name in self._made_secrets
        ):
            return True
        return self._exists(ref)

    def selected(self, selector: JsonValue | None, namespace: str) -> list[PodTemplate]:
        """The pods in a namespace that a label selector selects."""
        return [
            pod
            for pod in self._candidates(selector)
            if same_namespace(pod.namespace, namespace) and selects(selector, pod.labels)
        ]

    def _candidates(self, selector: JsonValue | None) -> Sequence[PodTemplate]:
        """The pods with the first label of a selector: to look at all for each Service is slow."""
        for key, value in mapping(at(selector, "matchLabels")).items():
            if isinstance(value, str):
                return self._labelled.get((key, value), ())
        return self.pods

    def may_be_made(self, selector: JsonValue | None, namespace: str) -> bool:
        """Whether an operator may make pods that a selector selects, out of a custom resource."""
        return any(
            selects(selector, mapping(at(manifest.body, *path)))
            for manifest in self.manifests
            if not _is_built_in(manifest.ref.group)
            and same_namespace(manifest.ref.namespace, namespace)
            for path in (("metadata", "labels"), ("spec", "podMetadata", "labels"))
        )

    def _templates(self) -> Iterator[PodTemplate]:
        for manifest in self.manifests:
            ref = manifest.ref
            steps = _TEMPLATES.get(ref.kind)
            if steps is not None and ref.group in _WORKLOAD_GROUPS:
                yield _template(manifest, steps)

    @staticmethod
    def _secret_of(manifest: LoadedManifest) -> str:
        name = at(manifest.body, *_SECRET_SOURCES[manifest.ref.kind])
        return text(name) or manifest.ref.name


def _template(manifest: LoadedManifest, steps: tuple[str, ...]) -> PodTemplate:
    template = mapping(at(manifest.body, *steps))
    metadata, spec = mapping(template.get("metadata")), mapping(template.get("spec"))
    path = "".join(f"/{step}" for step in (*steps, "spec"))
    return PodTemplate(
        owner=manifest,
        kind=manifest.ref.kind,
        namespace=manifest.ref.namespace,
        path=path,
        metadata=metadata,
        labels=mapping(metadata.get("labels")),
        annotations=mapping(metadata.get("annotations")),
        spec=spec,
        security=mapping(spec.get("securityContext")),
        containers=tuple(_containers(spec, path)),
    )


def _containers(spec: dict[str, JsonValue], path: str) -> Iterator[Container]:
    for kind, field in _CONTAINER_FIELDS.items():
        for index, body in entries(spec.get(field)):
            security = mapping(body.get("securityContext"))
            yield Container(kind, f"{path}/{field}/{index}", text(body.get("name")), body, security)


def same_namespace(one: str, other: str) -> bool:
    """Whether two objects may be in one namespace; an unset one may be any."""
    return not one or not other or one == other


def selects(selector: JsonValue | None, labels: Mapping[str, JsonValue]) -> bool:
    """Whether a `matchLabels`/`matchExpressions` selector selects labels."""
    fields = mapping(selector)
    if any(labels.get(key) != value for key, value in mapping(fields.get("matchLabels")).items()):
        return False
    return all(_holds(item, labels) for _, item in entries(fields.get("matchExpressions")))


def _holds(expression: Mapping[str, JsonValue], labels: Mapping[str, JsonValue]) -> bool:
    key = text(expression.get("key"))
    values = expression.get("values")
    listed = values if isinstance(values, list) else []
    match expression.get("operator"):
        case "In":
            return labels.get(key) in listed
        case "NotIn":
            return labels.get(key) not in listed
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return True


def _is_built_in(group: str) -> bool:
    return group in _BUILT_IN_GROUPS or group.endswith(".k8s.io")
