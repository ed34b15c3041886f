"""Services, Ingresses, NetworkPolicies and ServiceMonitors that lead nowhere or clash."""

from collections.abc import Iterator

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import ObjectSet, same_namespace, selects
from pilothouse.gitops.validation.reliability.tables import Violation, each_object
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, mapping, text
from pilothouse.models.findings import Finding

PORT_UNDECLARED = Rule(
    "service-port-undeclared",
    "info",
    "A Service sends to a port that no container declares",
    "If nothing listens there, no request arrives.",
    "Correct targetPort, or declare the container's port.",
)
SELECTOR_MISSING = Rule(
    "service-selector-missing",
    "info",
    "A Service selects no pods",
    "It answers nobody until somebody writes its EndpointSlices.",
    "Set selector, unless the endpoints are written by hand or by a controller.",
    {"kube-score": ("service-targets-pod",)},
)
PATH_CLASH = Rule(
    "ingress-path-clash",
    "warning",
    "Two Ingress rules have the same host and path",
    "Which of them answers is up to the controller.",
    "Keep one of them.",
)
CLASS_MISSING = Rule(
    "ingress-class-missing",
    "info",
    "An Ingress names no class",
    "Without a default class no controller takes it, and with two nobody knows which.",
    "Set ingressClassName.",
)
POLICY_EMPTY = Rule(
    "network-policy-selects-nothing",
    "warning",
    "A NetworkPolicy selects no pods of the set",
    "It protects nothing.",
    "Correct podSelector or the labels of the pods.",
    {"kube-linter": ("dangling-networkpolicy",), "kube-score": ("networkpolicy-targets-pod",)},
)
PEER_EMPTY = Rule(
    "network-policy-peer-selects-nothing",
    "info",
    "A NetworkPolicy lets in, or out to, pods that are not in the set",
    "Nobody gets through by this rule.",
    "Correct the peer's podSelector, if the pods should be here.",
    {"kube-linter": ("dangling-networkpolicypeer-podselector",)},
)
MONITOR_EMPTY = Rule(
    "service-monitor-selects-nothing",
    "warning",
    "A ServiceMonitor selects no Service of the set",
    "Nothing is measured.",
    "Correct the selector or the labels of the Service.",
    {"kube-linter": ("dangling-servicemonitor",)},
)
RULES = (
    PORT_UNDECLARED, SELECTOR_MISSING, PATH_CLASH, CLASS_MISSING, POLICY_EMPTY, PEER_EMPTY,
    MONITOR_EMPTY,
)  # fmt: skip


def _undeclared(service: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    labels = mapping(at(service.body, "spec", "selector"))
    ports = list(entries(at(service.body, "spec", "ports")))
    if not labels or not ports:
        return
    pods = objects.selected({"matchLabels": labels}, service.ref.namespace)
    declared = {
        port.get("containerPort")
        for pod in pods
        for container in pod.containers
        for _, port in entries(container.body.get("ports"))
    }
    for index, port in ports if pods else ():
        target = port.get("targetPort", port.get("port"))
        if isinstance(target, int) and target not in declared:
            shown = ", ".join(sorted(map(str, declared))) or "none"
            message = f"no container of {pods[0].owner.ref} declares the port {target}: {shown}"
            yield Violation(f"/spec/ports/{index}", message)


def _no_selector(service: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    spec = mapping(service.body.get("spec"))
    if not mapping(spec.get("selector")) and spec.get("type") != "ExternalName":
        yield Violation("/spec/selector", "selector is not set")


def _no_class(ingress: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    annotations = mapping(at(ingress.body, "metadata", "annotations"))
    if not at(ingress.body, "spec", "ingressClassName") and not annotations.get(
        "kubernetes.io/ingress.class"
    ):
        yield Violation("/spec/ingressClassName", "ingressClassName is not set")


def check_paths(objects: ObjectSet) -> Iterator[Finding]:
    """Every host and path of every Ingress, of one class, once."""
    seen: dict[tuple[str, str, str, str], LoadedManifest] = {}
    for ingress in objects.manifests:
        if ingress.ref.kind != "Ingress":
            continue
        kind = text(at(ingress.body, "spec", "ingressClassName"))
        for row, rule in entries(at(ingress.body, "spec", "rules")):
            for column, path in entries(at(rule, "http", "paths")):
                host, where = text(rule.get("host")), text(path.get("path"))
                key = (kind, host, where, text(path.get("pathType")))
                first = seen.setdefault(key, ingress)
                place = f"/spec/rules/{row}/http/paths/{column}"
                if first is not ingress or _earlier(ingress, host, where, row, column):
                    message = f"{host or '*'}{where} is in {first.ref} already"
                    yield PATH_CLASH.finding(ingress, message, place)


def _earlier(ingress: LoadedManifest, host: str, where: str, row: int, column: int) -> bool:
    """Whether a rule before this one in the same Ingress has the same host and path."""
    for index, rule in entries(at(ingress.body, "spec", "rules")):
        for position, path in entries(at(rule, "http", "paths")):
            if (index, position) >= (row, column):
                return False
            if (text(rule.get("host")), text(path.get("path"))) == (host, where):
                return True
    return False


def _selects_nothing(policy: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    selector = at(policy.body, "spec", "podSelector")
    if mapping(selector) and not _selects_any(selector, policy.ref.namespace, objects):
        yield Violation("/spec/podSelector", "podSelector selects no pods of this set")


def _peers(policy: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for row, rule in entries(at(policy.body, "spec", direction)):
            for column, peer in entries(rule.get(peers)):
                selector = peer.get("podSelector")
                namespace = "" if "namespaceSelector" in peer else policy.ref.namespace
                if mapping(selector) and not _selects_any(selector, namespace, objects):
                    path = f"/spec/{direction}/{row}/{peers}/{column}/podSelector"
                    yield Violation(path, "podSelector selects no pods of this set")


def _selects_any(selector: JsonValue | None, namespace: str, objects: ObjectSet) -> bool:
    return bool(objects.selected(selector, namespace)) or objects.may_be_made(selector, namespace)


def _monitors_nothing(monitor: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    selector = at(monitor.body, "spec", "selector")
    names = at(monitor.body, "spec", "namespaceSelector", "matchNames")
    anywhere = at(monitor.body, "spec", "namespaceSelector", "any") is True
    wanted = names if isinstance(names, list) else [monitor.ref.namespace]
    services = [
        service
        for service in objects.manifests
        if service.ref.kind == "Service"
        and (anywhere or any(same_namespace(service.ref.namespace, str(n)) for n in wanted))
    ]
    if names and not services:
        return  # Another namespace, which others fill.
    if not any(selects(selector, mapping(at(s.body, "metadata", "labels"))) for s in services):
        yield Violation("/spec/selector", "the selector selects no Service of this set")


CHECKS = (
    each_object(
        frozenset({"Service"}), (PORT_UNDECLARED, _undeclared), (SELECTOR_MISSING, _no_selector)
    ),
    each_object(frozenset({"Ingress"}), (CLASS_MISSING, _no_class)),
    each_object(
        frozenset({"NetworkPolicy"}), (POLICY_EMPTY, _selects_nothing), (PEER_EMPTY, _peers)
    ),
    each_object(frozenset({"ServiceMonitor"}), (MONITOR_EMPTY, _monitors_nothing)),
    check_paths,
)
