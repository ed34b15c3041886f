"""Which ConfigMaps and Secrets a pod needs before it can start, and what to say if one lacks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pilothouse.local.nodes.pods.documents import Document

SourceKind = Literal["configmaps", "secrets"]

ROOT_CA = "kube-root-ca.crt"
"""Follows each new namespace by itself, a moment later; waiting for it would only add noise."""

_TITLES: dict[SourceKind, tuple[str, str]] = {
    "configmaps": ("configmap", "ConfigMap"),
    "secrets": ("secret", "Secret"),
}


@dataclass(frozen=True)
class Reference:
    """One ConfigMap or Secret, or one key of it, that is not optional."""

    kind: SourceKind
    name: str
    key: str = ""
    """Empty: any content will do."""


@dataclass(frozen=True)
class Needs:
    """Everything that one pod refers to."""

    volumes: tuple[tuple[str, Reference], ...]
    """(volume name, reference)."""
    containers: Mapping[str, tuple[Reference, ...]]
    """By container name, init containers included."""

    def sources(self) -> set[tuple[SourceKind, str]]:
        """Each (kind, name) once: what to look up."""
        references = [reference for _, reference in self.volumes]
        for several in self.containers.values():
            references.extend(several)
        return {(reference.kind, reference.name) for reference in references}


@dataclass(frozen=True)
class Problems:
    """What keeps a pod or its containers from starting; empty if nothing does."""

    mount: str = ""
    containers: Mapping[str, str] = field(default_factory=dict)
    """Message by container name."""


Found = Mapping[tuple[SourceKind, str], frozenset[str] | None]
"""The keys of each source that was looked up; None if it does not exist."""


def needs_of(pod: Document) -> Needs:
    """List what a pod's volumes and its containers' environments refer to."""
    spec = pod["spec"]
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    return Needs(
        volumes=tuple(_volume_references(spec)),
        containers={c["name"]: tuple(_environment_references(c)) for c in containers},
    )


def problems_of(needs: Needs, namespace: str, found: Found) -> Problems:
    """Say what is missing, in the kubelet's words.

    A missing volume source stops the whole pod (`FailedMount`), a missing source of environment
    variables stops its container (`CreateContainerConfigError`): as a kubelet does.
    """
    mount = ""
    for volume, reference in needs.volumes:
        message = _problem(reference, namespace, found)
        if message:
            mount = f'MountVolume.SetUp failed for volume "{volume}" : {message}'
            break
    containers: dict[str, str] = {}
    for name, references in needs.containers.items():
        messages = (_problem(reference, namespace, found) for reference in references)
        first = next(filter(None, messages), "")
        if first:
            containers[name] = first
    return Problems(mount, containers)


def _problem(reference: Reference, namespace: str, found: Found) -> str:
    keys = found.get((reference.kind, reference.name))
    lower, title = _TITLES[reference.kind]
    if keys is None:
        return f'{lower} "{reference.name}" not found'
    if reference.key and reference.key not in keys:
        return f"couldn't find key {reference.key} in {title} {namespace}/{reference.name}"
    return ""


def _environment_references(container: Document) -> Iterator[Reference]:
    for source in container.get("envFrom") or ():
        yield from _reference("configmaps", source.get("configMapRef"))
        yield from _reference("secrets", source.get("secretRef"))
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        yield from _reference("configmaps", source.get("configMapKeyRef"))
        yield from _reference("secrets", source.get("secretKeyRef"))


def _volume_references(spec: Document) -> Iterator[tuple[str, Reference]]:
    for volume in spec.get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in sources:
            secret = source.get("secret")
            if secret and "secretName" in secret:
                secret = {**secret, "name": secret["secretName"]}
            for reference in _volume_items("configmaps", source.get("configMap")):
                yield volume["name"], reference
            for reference in _volume_items("secrets", secret):
                yield volume["name"], reference


def _volume_items(kind: SourceKind, source: Document | None) -> Iterator[Reference]:
    if not source or source.get("name") == ROOT_CA:
        return
    for item in source.get("items") or [{}]:
        yield from _reference(kind, {**source, "key": item.get("key", "")})


def _reference(kind: SourceKind, source: Document | None) -> Iterator[Reference]:
    if source and source.get("name") and not source.get("optional"):
        yield Reference(kind, source["name"], source.get("key", ""))
