"""References between objects: whether what one names is there, and whether selectors select."""

from collections.abc import Iterator

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import ObjectSet, PodTemplate, selects
from pilothouse.gitops.validation.pods import check_pods
from pilothouse.gitops.validation.shapes import at, entries, mapping, text
from pilothouse.models.findings import Finding
from pilothouse.models.objects import ObjectRef

_SELECTING_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
_GIVEN_ROLES = frozenset({
    ("ClusterRole", "admin"),
    ("ClusterRole", "cluster-admin"),
    ("ClusterRole", "edit"),
    ("ClusterRole", "view"),
    ("Role", "extension-apiserver-authentication-reader"),
})


def check_references(objects: ObjectSet) -> list[Finding]:
    """Every reference of a set of objects that leads nowhere.

    Where the set can ask a cluster, and that says no, a missing object is an error; without an
    answer it is a warning, for the cluster may have it.
    """
    findings = list(check_pods(objects))
    for manifest in objects.manifests:
        findings += _check(manifest, objects)
    return findings


def _check(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Finding]:
    match manifest.ref.kind:
        case "Service" if manifest.ref.group == "":
            return _service(manifest, objects)
        case "Ingress" if manifest.ref.group == "networking.k8s.io":
            return _ingress(manifest, objects)
        case "HorizontalPodAutoscaler":
            return _autoscaler(manifest, objects)
        case "PodDisruptionBudget":
            return _disruption_budget(manifest, objects)
        case "RoleBinding" | "ClusterRoleBinding":
            return _binding(manifest, objects)
        case kind if kind in _SELECTING_KINDS and manifest.ref.group == "apps":
            return _own_selector(manifest)
        case _:
            return iter(())


def _own_selector(manifest: LoadedManifest) -> Iterator[Finding]:
    selector = at(manifest.body, "spec", "selector")
    labels = mapping(at(manifest.body, "spec", "template", "metadata", "labels"))
    if manifest.ref.api_version == "apps/v1" and not mapping(selector):
        yield manifest.finding(
            "selector-mismatch",
            "error",
            "the selector is empty or missing: it has to select the labels of its own pod template",
            path="/spec/selector",
            fix="Set matchLabels to labels of spec.template.metadata.labels.",
        )
    elif mapping(selector) and not selects(selector, labels):
        wanted = ", ".join(f"{k}: {v}" for k, v in mapping(at(selector, "matchLabels")).items())
        yield manifest.finding(
            "selector-mismatch",
            "error",
            f"the selector ({wanted}) does not select the labels of its own pod template",
            path="/spec/selector",
            fix="Give spec.template.metadata.labels every label of the selector.",
        )


def _service(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Finding]:
    spec = mapping(manifest.body.get("spec"))
    labels = mapping(spec.get("selector"))
    if not labels or spec.get("type") == "ExternalName":
        return
    selector: JsonValue = {"matchLabels": labels}
    pods = objects.selected(selector, manifest.ref.namespace)
    if not pods:
        if not objects.may_be_made(selector, manifest.ref.namespace):
            shown = ", ".join(f"{key}: {value}" for key, value in labels.items())
            yield manifest.finding(
                "selector-empty",
                "warning",
                f"the selector ({shown}) selects no workload in this set",
                path="/spec/selector",
                fix="Correct the selector or the labels of the pod template.",
            )
        return
    yield from _target_ports(manifest, pods)


def _target_ports(service: LoadedManifest, pods: list[PodTemplate]) -> Iterator[Finding]:
    known = {name for pod in pods for name in pod.port_names() if name}
    for index, port in entries(at(service.body, "spec", "ports")):
        name = text(port.get("targetPort"))
        if name and name not in known:
            yield service.finding(
                "reference-port",
                "error",
                f'no container of {pods[0].owner.ref} has a port named "{name}"; named ports: '
                f"{', '.join(sorted(known)) or 'none'}",
                path=f"/spec/ports/{index}/targetPort",
                fix="Correct targetPort, or name the container's port.",
            )


def _ingress(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Finding]:
    said: set[str] = set()
    for path, backend in _backends(mapping(manifest.body.get("spec"))):
        name = text(at(backend, "service", "name"))
        if not name:
            continue
        service = objects.find("Service", manifest.ref.namespace, name)
        if service is not None:
            yield from _backend_port(manifest, backend, path, service)
        elif name not in said:
            said.add(name)
            ref = ObjectRef(
                api_version="v1", kind="Service", namespace=manifest.ref.namespace, name=name
            )
            yield from _absent(manifest, ref, objects, "reference-service", f"{path}/service/name")


def _backends(spec: dict[str, JsonValue]) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    default = mapping(spec.get("defaultBackend"))
    if default:
        yield "/spec/defaultBackend", default
    for row, rule in entries(spec.get("rules")):
        for column, path in entries(at(rule, "http", "paths")):
            where = f"/spec/rules/{row}/http/paths/{column}/backend"
            yield where, mapping(path.get("backend"))


def _backend_port(
    ingress: LoadedManifest, backend: dict[str, JsonValue], path: str, service: LoadedManifest
) -> Iterator[Finding]:
    ports = [port for _, port in entries(at(service.body, "spec", "ports"))]
    for field, known_field in (("name", "name"), ("number", "port")):
        wanted = at(backend, "service", "port", field)
        known = [port.get(known_field) for port in ports]
        if wanted is not None and wanted not in known:
            shown = ", ".join(str(value) for value in known if value is not None) or "none"
            yield ingress.finding(
                "reference-service-port",
                "error",
                f"{service.ref} has no port {wanted}; its ports: {shown}",
                path=f"{path}/service/port/{field}",
                fix="Name a port of the Service.",
            )


def _autoscaler(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Finding]:
    target = mapping(at(manifest.body, "spec", "scaleTargetRef"))
    kind, name = text(target.get("kind")), text(target.get("name"))
    if kind and name:
        ref = ObjectRef(
            api_version=text(target.get("apiVersion")),
            kind=kind,
            namespace=manifest.ref.namespace,
            name=name,
        )
        yield from _absent(
            manifest, ref, objects, "reference-scale-target", "/spec/scaleTargetRef/name"
        )


def _disruption_budget(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Finding]:
    selector = at(manifest.body, "spec", "selector")
    namespace = manifest.ref.namespace
    if (
        mapping(selector)
        and not objects.selected(selector, namespace)
        and not objects.may_be_made(selector, namespace)
    ):
        yield manifest.finding(
            "selector-empty",
            "warning",
            "the selector selects no workload in this set: the budget protects nothing",
            path="/spec/selector",
            fix="Correct the selector or the labels of the pod template.",
        )


def _binding(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Finding]:
    role = mapping(manifest.body.get("roleRef"))
    kind, name = text(role.get("kind")), text(role.get("name"))
    given = (kind, name) in _GIVEN_ROLES or name.startswith("system:")
    if kind and name and not given:
        ref = ObjectRef(
            api_version="rbac.authorization.k8s.io/v1",
            kind=kind,
            namespace=manifest.ref.namespace if kind == "Role" else "",
            name=name,
        )
        yield from _absent(
            manifest, ref, objects, "reference-role", "/roleRef/name", always_warning=True
        )
    for index, subject in entries(manifest.body.get("subjects")):
        namespace = text(subject.get("namespace")) or manifest.ref.namespace
        account = text(subject.get("name"))
        if subject.get("kind") != "ServiceAccount" or account in {"", "default"}:
            continue
        if namespace in objects.namespaces:  # Other namespaces are not this set's to fill.
            ref = ObjectRef(
                api_version="v1", kind="ServiceAccount", namespace=namespace, name=account
            )
            path = f"/subjects/{index}/name"
            yield from _absent(
                manifest, ref, objects, "reference-subject", path, always_warning=True
            )


def _absent(
    manifest: LoadedManifest,
    ref: ObjectRef,
    objects: ObjectSet,
    rule: str,
    path: str,
    *,
    always_warning: bool = False,
) -> Iterator[Finding]:
    known = objects.has(ref)
    if known:
        return
    where = "exists neither here nor in the cluster" if known is False else "is not in this set"
    yield manifest.finding(
        rule,
        "error" if known is False and not always_warning else "warning",
        f'{ref.kind} "{ref.name}" {where}',
        path=path,
        fix=f"Add the {ref.kind}, correct the name, or make sure that the cluster has it.",
    )
