"""What pods refer to: ConfigMaps, Secrets, volumes, accounts; and names that must be unique."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from pilothouse.gitops.validation.object_set import ObjectSet, PodTemplate
from pilothouse.gitops.validation.shapes import at, entries, mapping, text
from pilothouse.models.findings import Finding
from pilothouse.models.objects import ObjectRef

_RULES = {
    "ConfigMap": "reference-configmap",
    "PersistentVolumeClaim": "reference-pvc",
    "Secret": "reference-secret",
    "ServiceAccount": "reference-serviceaccount",
}
_GIVEN = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}


@dataclass(frozen=True, slots=True)
class _Use:
    """One place of a pod that names another object."""

    kind: str
    name: str
    path: str
    keys: tuple[str, ...] = ()
    optional: bool = False


def check_pods(objects: ObjectSet) -> Iterator[Finding]:
    """Every problem of every pod template in the set."""
    for pod in objects.pods:
        yield from _missing(pod, objects)
        yield from _unmounted(pod)
        yield from _repeated_names(pod)


def _missing(pod: PodTemplate, objects: ObjectSet) -> Iterator[Finding]:
    said: set[tuple[str, str, tuple[str, ...]]] = set()
    for use in _uses(pod):
        if use.optional or not use.name or (use.kind, use.name) in _GIVEN:
            continue
        holder = objects.find(use.kind, pod.namespace, use.name)
        if holder is not None:
            yield from _missing_keys(pod, use, holder.body)
            continue
        ref = ObjectRef(api_version="v1", kind=use.kind, namespace=pod.namespace, name=use.name)
        if (use.kind, use.name, ()) in said or (known := objects.has(ref)):
            continue
        said.add((use.kind, use.name, ()))
        where = "exists neither here nor in the cluster" if known is False else "is not in this set"
        yield pod.owner.finding(
            _RULES[use.kind],
            "error" if known is False else "warning",
            f'{use.kind} "{use.name}" {where}',
            path=use.path,
            fix=f"Add the {use.kind}, correct the name, or make sure that the cluster has it.",
        )


def _missing_keys(pod: PodTemplate, use: _Use, body: dict[str, JsonValue]) -> Iterator[Finding]:
    known: set[str] = set()
    for field in ("data", "stringData", "binaryData"):
        known |= set(mapping(body.get(field)))
    for key in use.keys:
        if key not in known:
            shown = ", ".join(sorted(known)[:10]) or "none"
            yield pod.owner.finding(
                "reference-key",
                "error",
                f'{use.kind} "{use.name}" has no key "{key}"; its keys: {shown}',
                path=use.path,
                fix="Correct the key, or add it.",
            )


def _uses(pod: PodTemplate) -> Iterator[_Use]:
    account = text(pod.spec.get("serviceAccountName"))
    yield _Use("ServiceAccount", account, f"{pod.path}/serviceAccountName")
    for index, entry in entries(pod.spec.get("imagePullSecrets")):
        path = f"{pod.path}/imagePullSecrets/{index}/name"
        yield _Use("Secret", text(entry.get("name")), path)
    for container in pod.containers:
        yield from _environment(container.path, container.body)
    for index, volume in entries(pod.spec.get("volumes")):
        yield from _volume(f"{pod.path}/volumes/{index}", volume)


def _environment(path: str, container: dict[str, JsonValue]) -> Iterator[_Use]:
    for index, variable in entries(container.get("env")):
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            source = mapping(at(variable, "valueFrom", field))
            if source:
                where = f"{path}/env/{index}/valueFrom/{field}"
                yield _named(kind, source, "name", where, keys=(text(source.get("key")),))
    for index, entry in entries(container.get("envFrom")):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            source = mapping(entry.get(field))
            if source:
                yield _named(kind, source, "name", f"{path}/envFrom/{index}/{field}")


def _volume(path: str, volume: dict[str, JsonValue]) -> Iterator[_Use]:
    claim = mapping(volume.get("persistentVolumeClaim"))
    if claim:
        yield _named("PersistentVolumeClaim", claim, "claimName", f"{path}/persistentVolumeClaim")
    yield from _content(path, volume, secret_name="secretName")
    for index, source in entries(at(volume, "projected", "sources")):
        yield from _content(f"{path}/projected/sources/{index}", source, secret_name="name")


def _content(path: str, source: dict[str, JsonValue], *, secret_name: str) -> Iterator[_Use]:
    for field, kind, name in (
        ("configMap", "ConfigMap", "name"),
        ("secret", "Secret", secret_name),
    ):
        part = mapping(source.get(field))
        if part:
            keys = tuple(text(item.get("key")) for _, item in entries(part.get("items")))
            yield _named(kind, part, name, f"{path}/{field}", keys=keys)


def _named(
    kind: str,
    source: dict[str, JsonValue],
    field: str,
    path: str,
    *,
    keys: tuple[str, ...] = (),
) -> _Use:
    optional = source.get("optional") is True
    return _Use(kind, text(source.get(field)), f"{path}/{field}", keys, optional)


def _unmounted(pod: PodTemplate) -> Iterator[Finding]:
    volumes = {text(volume.get("name")) for _, volume in entries(pod.spec.get("volumes"))}
    claims = at(pod.owner.body, "spec", "volumeClaimTemplates")
    volumes |= {text(at(claim, "metadata", "name")) for _, claim in entries(claims)}
    for container in pod.containers:
        for index, mount in entries(container.body.get("volumeMounts")):
            name = text(mount.get("name"))
            if name and name not in volumes:
                yield pod.owner.finding(
                    "volume-missing",
                    "error",
                    f'the volume "{name}" is mounted but not declared; declared: '
                    f"{', '.join(sorted(volumes)) or 'none'}",
                    path=f"{container.path}/volumeMounts/{index}/name",
                    fix=f'Add a volume "{name}" to the pod, or remove the mount.',
                )


def _repeated_names(pod: PodTemplate) -> Iterator[Finding]:
    containers: set[str] = set()
    for container in pod.containers:
        yield from _repeated(pod, "container", container.body, container.path, containers)
        ports: set[str] = set()
        for index, port in entries(container.body.get("ports")):
            yield from _repeated(pod, "port", port, f"{container.path}/ports/{index}", ports)
    volumes: set[str] = set()
    for index, volume in entries(pod.spec.get("volumes")):
        yield from _repeated(pod, "volume", volume, f"{pod.path}/volumes/{index}", volumes)


def _repeated(
    pod: PodTemplate, what: str, item: dict[str, JsonValue], path: str, seen: set[str]
) -> Iterator[Finding]:
    name = text(item.get("name"))
    if name and name in seen:
        yield pod.owner.finding(
            "duplicate-port-name" if what == "port" else "duplicate-name",
            "error",
            f'two {what}s of the pod are named "{name}"',
            path=f"{path}/name",
            fix=f"Give each {what} a name of its own.",
        )
    seen.add(name)
