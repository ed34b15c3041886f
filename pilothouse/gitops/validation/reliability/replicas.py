"""How many pods a workload has, and whether one node can take all of them down."""

from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.validation.object_set import ObjectSet, PodTemplate, selects
from pilothouse.gitops.validation.reliability.selection import Autoscalers
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, mapping
from pilothouse.models.findings import Finding

ONE_REPLICA = Rule(
    "replicas-one",
    "info",
    "A Deployment has one pod",
    "Each restart, and each drained node, is an outage.",
    "Set replicas to at least 2, or add an autoscaler.",
    {
        "polaris": ("deploymentMissingReplicas",),
        "kube-score": ("deployment-replicas",),
        "kube-linter": ("minimum-three-replicas",),
    },
)
TWO_REPLICAS = Rule(
    "replicas-two",
    "info",
    "A Deployment has two pods",
    "While one node is drained, the other pod's crash is an outage.",
    "Set replicas to at least 3 where that matters.",
    {"kube-linter": ("minimum-three-replicas",)},
)
SAME_NODE = Rule(
    "anti-affinity-missing",
    "info",
    "Nothing keeps the pods of a workload on different nodes",
    "One node that fails can take all of them with it.",
    "Add podAntiAffinity, or topologySpreadConstraints, over kubernetes.io/hostname.",
    {
        "kube-linter": ("no-anti-affinity",),
        "kube-score": (
            "deployment-has-host-podantiaffinity",
            "statefulset-has-host-podantiaffinity",
        ),
    },
)
SPREAD_MISSING = Rule(
    "topology-spread-missing",
    "info",
    "A Deployment does not spread its pods",
    "A zone or node that fails can take all of them with it.",
    "Add topologySpreadConstraints.",
    {"polaris": ("topologySpreadConstraint",)},
)
SPREAD_BLIND = Rule(
    "topology-spread-selector",
    "warning",
    "A topology spread constraint does not select the pods that it is on",
    "It counts other pods, so that these are not spread.",
    "Give it a labelSelector that selects the pod's own labels.",
    {"kube-score": ("pod-topology-spread-constraints",)},
)
NODE_PINNED = Rule(
    "node-name-pinned",
    "warning",
    "Pods are bound to one node by name",
    "They are lost with the node, and the scheduler's rules do not count.",
    "Use nodeSelector or affinity.",
)
RULES = (ONE_REPLICA, TWO_REPLICAS, SAME_NODE, SPREAD_MISSING, SPREAD_BLIND, NODE_PINNED)
_HOST: Final = "kubernetes.io/hostname"
_SPREAD_KINDS: Final = frozenset({"Deployment", "StatefulSet"})


def replicas_of(pod: PodTemplate) -> int:
    """How many pods an object declares; 1 if it says nothing."""
    replicas = at(pod.owner.body, "spec", "replicas")
    return replicas if isinstance(replicas, int) else 1


def check_replicas(objects: ObjectSet) -> Iterator[Finding]:
    """Every Deployment and StatefulSet."""
    scalers = Autoscalers(objects)
    for pod in objects.pods:
        if pod.spec.get("nodeName"):
            message = f"the pods run on the node {pod.spec['nodeName']} only"
            yield NODE_PINNED.finding(pod.owner, message, f"{pod.path}/nodeName")
        yield from _blind(pod)
        if pod.kind not in _SPREAD_KINDS:
            continue
        replicas, scaled = replicas_of(pod), scalers.of(pod.owner) is not None
        if pod.kind == "Deployment" and not scaled and replicas in {1, 2}:
            rule = ONE_REPLICA if replicas == 1 else TWO_REPLICAS
            yield rule.finding(pod.owner, f"replicas is {replicas}", "/spec/replicas")
        constraints = pod.spec.get("topologySpreadConstraints")
        if pod.kind == "Deployment" and not constraints:
            message = "the pods have no topologySpreadConstraints"
            yield SPREAD_MISSING.finding(pod.owner, message, pod.path)
        if replicas > 1 and not _kept_apart(pod):
            message = f"nothing keeps the {replicas} pods on different nodes"
            yield SAME_NODE.finding(pod.owner, message, pod.path)


def _kept_apart(pod: PodTemplate) -> bool:
    affinity = mapping(at(pod.spec, "affinity", "podAntiAffinity"))
    terms = [t for _, t in entries(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))]
    terms += [
        mapping(weighted.get("podAffinityTerm"))
        for _, weighted in entries(affinity.get("preferredDuringSchedulingIgnoredDuringExecution"))
    ]
    return any(
        term.get("topologyKey") == _HOST and selects(term.get("labelSelector"), pod.labels)
        for term in terms
    )


def _blind(pod: PodTemplate) -> Iterator[Finding]:
    for index, constraint in entries(pod.spec.get("topologySpreadConstraints")):
        selector: JsonValue | None = constraint.get("labelSelector")
        if selector is None or not selects(selector, pod.labels):
            message = "the constraint does not select the pods that it is on"
            path = f"{pod.path}/topologySpreadConstraints/{index}"
            yield SPREAD_BLIND.finding(pod.owner, message, path)
