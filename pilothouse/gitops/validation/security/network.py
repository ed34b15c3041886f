"""Who can reach pods, and whom they can reach."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.places import escape
from pilothouse.gitops.validation.object_set import ObjectSet, PodTemplate, same_namespace, selects
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, mapping, text
from pilothouse.models.findings import Finding

POLICY_MISSING = Rule(
    "network-policy-missing",
    "info",
    "No NetworkPolicy of the set selects a pod",
    "Every pod of the cluster can reach it, and it can reach everything.",
    "Add a NetworkPolicy that names who may reach it, and whom it may reach.",
    {
        "kubescape": ("C-0030", "C-0260"),
        "polaris": ("missingNetworkPolicy",),
        "kube-linter": ("non-isolated-pod",),
        "kube-score": ("pod-networkpolicy",),
        "checkov": ("CKV2_K8S_6",),
    },
)
POLICY_ONE_WAY = Rule(
    "network-policy-one-way",
    "info",
    "NetworkPolicies hold a pod in one direction only",
    "An intruder uses the other one.",
    "Name both Ingress and Egress in policyTypes.",
    {
        "kubescape": ("C-0030",),
        "polaris": ("missingNetworkPolicy",),
        "kube-score": ("pod-networkpolicy",),
    },
)
POLICY_WITHOUT_RULES = Rule(
    "network-policy-closed",
    "info",
    "NetworkPolicies close a direction of a pod entirely",
    "That may be meant; a pod that nobody reaches, or that reaches no name service, is rare.",
    "Add rules for the traffic that is needed.",
    {"polaris": ("missingNetworkPolicy",)},
)
EXPOSED = Rule(
    "service-exposed",
    "info",
    "A Service opens a port to the world outside of the cluster",
    "Everybody who reaches a node or the load balancer reaches the pods.",
    "Use ClusterIP and an Ingress, or restrict loadBalancerSourceRanges.",
    {"kubescape": ("C-0256",), "kube-linter": ("exposed-services",)},
)
NODE_PORT = Rule(
    "service-node-port",
    "warning",
    "A Service opens a port on every node",
    "Everybody who reaches a node reaches the pods, past load balancers and certificates.",
    "Use ClusterIP and an Ingress.",
    {
        "kubescape": ("C-0256",),
        "kube-linter": ("exposed-services",),
        "kube-score": ("service-type",),
    },
)
EXTERNAL_ADDRESS = Rule(
    "service-external-ip",
    "warning",
    "A Service takes traffic for addresses that it names itself",
    "It can draw to it what was meant for somebody else (CVE-2020-8554).",
    "Remove externalIPs; use a load balancer.",
)
SSH = Rule(
    "ssh-port",
    "warning",
    "A container offers SSH",
    "A way in that no role, log or policy of the cluster covers.",
    "Remove the SSH server; use kubectl exec.",
    {"kube-linter": ("ssh-port",)},
)
SSH_SERVICE = Rule(
    "ssh-service",
    "warning",
    "A Service leads to SSH in a pod",
    "A way in that no role, log or policy of the cluster covers.",
    "Remove the port; use kubectl exec.",
    {"kubescape": ("C-0042",)},
)
LOW_PORT = Rule(
    "privileged-port",
    "info",
    "A container listens on a port below 1024",
    "It needs root or NET_BIND_SERVICE for that.",
    "Listen on a higher port; the Service can still offer the low one.",
    {"kube-linter": ("privileged-ports",)},
)
WITHOUT_TLS = Rule(
    "ingress-without-tls",
    "warning",
    "An Ingress has no certificate",
    "Everybody on the way reads and changes the traffic, passwords included.",
    "Set spec.tls.",
    {"kubescape": ("C-0263",), "polaris": ("tlsSettingsMissing",)},
)
SNIPPET = Rule(
    "ingress-snippet",
    "warning",
    "An Ingress puts text into the proxy's configuration",
    "It can read the proxy's files, and with them every Secret of the cluster (CVE-2021-25742).",
    "Remove the annotation.",
    {"checkov": ("CKV_K8S_153",)},
)
LUA_SNIPPET = Rule(
    "ingress-snippet-lua",
    "warning",
    "An Ingress runs Lua in the proxy",
    "It can read the proxy's files, and with them every Secret of the cluster (CVE-2021-25742).",
    "Remove the annotation.",
    {"checkov": ("CKV_K8S_152", "CKV_K8S_153")},
)
ALIAS_SNIPPET = Rule(
    "ingress-snippet-alias",
    "warning",
    "An Ingress serves files of the proxy",
    "It can read the proxy's files, and with them every Secret of the cluster (CVE-2021-25742).",
    "Remove the annotation.",
    {"checkov": ("CKV_K8S_153", "CKV_K8S_154")},
)
RESOLVER = Rule(
    "name-server-own",
    "info",
    "A pod asks a name server of its own",
    "Who runs that server decides where the pod's traffic goes.",
    "Remove dnsConfig.nameservers.",
)
RULES = (
    POLICY_MISSING,
    POLICY_ONE_WAY,
    POLICY_WITHOUT_RULES,
    EXPOSED,
    NODE_PORT,
    EXTERNAL_ADDRESS,
    SSH,
    SSH_SERVICE,
    LOW_PORT,
    WITHOUT_TLS,
    SNIPPET,
    LUA_SNIPPET,
    ALIAS_SNIPPET,
    RESOLVER,
)
_SSH_PORTS = frozenset({22, 2222})
_SNIPPETS = (
    (LUA_SNIPPET, re.compile(r"\blua_|_lua\b|_lua_|\bkubernetes\.io")),
    (ALIAS_SNIPPET, re.compile(r"\balias\b")),
)


def check_network(objects: ObjectSet) -> Iterator[Finding]:
    """Isolation of pods, and what Services and Ingresses open."""
    policies = [
        _policy(manifest)
        for manifest in objects.manifests
        if manifest.ref.kind == "NetworkPolicy" and manifest.ref.group == "networking.k8s.io"
    ]
    for pod in objects.pods:
        yield from _isolation(pod, policies)
        yield from _ports(pod)
    for manifest in objects.manifests:
        if manifest.ref.kind == "Service" and manifest.ref.group == "":
            yield from _service(manifest)
        elif manifest.ref.kind == "Ingress":
            yield from _ingress(manifest)


@dataclass(frozen=True, slots=True)
class _Policy:
    """What a NetworkPolicy says about the pods that it selects."""

    namespace: str
    selector: JsonValue | None
    held: frozenset[str]
    """The directions that it closes but for its rules."""
    ruled: frozenset[str]
    """Those of them that it has rules for."""


def _policy(manifest: LoadedManifest) -> _Policy:
    spec = mapping(manifest.body.get("spec"))
    types = spec.get("policyTypes")
    if isinstance(types, list):
        held = frozenset(map(str, types))
    else:
        held = frozenset({"Ingress", "Egress"} if spec.get("egress") else {"Ingress"})
    ruled = frozenset(name for name in held if spec.get(name.lower()))
    return _Policy(manifest.ref.namespace, spec.get("podSelector"), held, ruled)


def _isolation(pod: PodTemplate, policies: list[_Policy]) -> Iterator[Finding]:
    mine = [
        policy
        for policy in policies
        if same_namespace(policy.namespace, pod.namespace) and selects(policy.selector, pod.labels)
    ]
    if not mine:
        told = "no NetworkPolicy in this set selects the pod"
        yield POLICY_MISSING.finding(pod.owner, told, pod.path)
        return
    both = {"Ingress", "Egress"}
    open_ways = both.difference(*(policy.held for policy in mine))
    closed = both.difference(*(policy.ruled for policy in mine))
    if open_ways:
        told = f"no NetworkPolicy in this set holds the pod's {'/'.join(sorted(open_ways))}"
        yield POLICY_ONE_WAY.finding(pod.owner, told, pod.path)
    elif closed:
        told = f"no NetworkPolicy in this set allows any {'/'.join(sorted(closed))} of the pod"
        yield POLICY_WITHOUT_RULES.finding(pod.owner, told, pod.path)


def _ports(pod: PodTemplate) -> Iterator[Finding]:
    for container in pod.containers:
        for index, port in entries(container.body.get("ports")):
            number, path = port.get("containerPort"), f"{container.path}/ports/{index}"
            if not isinstance(number, int):
                continue
            if number == 22 and port.get("protocol") in (None, "TCP"):
                told = f'container "{container.name}" listens on the port of SSH'
                yield SSH.finding(pod.owner, told, path)
            if 0 < number < 1024:
                told = f'container "{container.name}" listens on port {number}'
                yield LOW_PORT.finding(pod.owner, told, path)
    if at(pod.spec, "dnsConfig", "nameservers"):
        told = "the pod asks a name server of its own"
        yield RESOLVER.finding(pod.owner, told, f"{pod.path}/dnsConfig/nameservers")


def _service(service: LoadedManifest) -> Iterator[Finding]:
    spec = mapping(service.body.get("spec"))
    if spec.get("type") == "NodePort":
        yield NODE_PORT.finding(service, "the Service is of type NodePort", "/spec/type")
    elif spec.get("type") == "LoadBalancer":
        yield EXPOSED.finding(service, "the Service is of type LoadBalancer", "/spec/type")
    if spec.get("externalIPs"):
        told = "the Service takes traffic for addresses that it names itself"
        yield EXTERNAL_ADDRESS.finding(service, told, "/spec/externalIPs")
    for index, port in entries(spec.get("ports")):
        if _SSH_PORTS.intersection(
            value for value in (port.get("port"), port.get("targetPort")) if isinstance(value, int)
        ):
            told = "the Service leads to a port of SSH"
            yield SSH_SERVICE.finding(service, told, f"/spec/ports/{index}")


def _ingress(ingress: LoadedManifest) -> Iterator[Finding]:
    if not at(ingress.body, "spec", "tls"):
        yield WITHOUT_TLS.finding(ingress, "the Ingress has no certificate", "/spec/tls")
    for key, value in mapping(at(ingress.body, "metadata", "annotations")).items():
        if "nginx" not in key or not key.endswith(("snippet", "snippets")):
            continue
        told = f'the annotation "{key}" is put into the proxy\'s configuration'
        special = [rule for rule, words in _SNIPPETS if words.search(text(value))]
        for rule in special or (SNIPPET,):
            yield rule.finding(ingress, told, f"/metadata/annotations/{escape(key)}")
