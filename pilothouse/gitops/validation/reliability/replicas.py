"""How many pods a workload has, and whether one node can take all of them down."""

from collections.abc import Callable, Iterator, Mapping
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
NO_REPLICA = Rule(
    "replicas-zero",
    "info",
    "A Deployment has no pods",
    "Nothing runs, and a Service before it answers nobody.",
    "Set replicas to at least 2, unless it is switched off on purpose.",
    {"kube-score": ("deployment-replicas",), "kube-linter": ("minimum-three-replicas",)},
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
SAME_NODE_LATER = Rule(
    "anti-affinity-missing-unscaled",
    "info",
    "Nothing would keep the pods of a workload on different nodes once it has several",
    "Whoever scales it up gets pods that one node can take down.",
    "Add podAntiAffinity, or topologySpreadConstraints, over kubernetes.io/hostname.",
    {
        "kube-score": (
            "deployment-has-host-podantiaffinity",
            "statefulset-has-host-podantiaffinity",
        ),
    },
)
NOT_BY_NODE = Rule(
    "anti-affinity-not-by-node",
    "info",
    "The pods of a workload are kept apart by something larger than a node",
    "With podAntiAffinity over zones there can be no more pods than zones.",
    "Use kubernetes.io/hostname, and topologySpreadConstraints for zones.",
    {"kube-linter": ("no-anti-affinity",)},
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
)
SPREAD_UNSELECTIVE = Rule(
    "topology-spread-selector-missing",
    "warning",
    "A topology spread constraint selects no pods",
    "It counts none, so that these are not spread.",
    "Give it a labelSelector that selects the pod's own labels.",
    {"kube-score": ("pod-topology-spread-constraints",)},
)
SPREAD_INVALID = Rule(
    "topology-spread-invalid",
    "error",
    "A topology spread constraint is not one that Kubernetes takes",
    "The API server refuses the pod.",
    "Set maxSkew to 1 or more, topologyKey, and whenUnsatisfiable to DoNotSchedule or "
    "ScheduleAnyway.",
    {"kube-score": ("pod-topology-spread-constraints",)},
)
NODE_PINNED = Rule(
    "node-name-pinned",
    "warning",
    "Pods are bound to one node by name",
    "They are lost with the node, and the scheduler's rules do not count.",
    "Use nodeSelector or affinity.",
)
RULES = (
    NO_REPLICA,
    ONE_REPLICA,
    TWO_REPLICAS,
    SAME_NODE,
    SAME_NODE_LATER,
    NOT_BY_NODE,
    SPREAD_MISSING,
    SPREAD_BLIND,
    SPREAD_UNSELECTIVE,
    SPREAD_INVALID,
    NODE_PINNED,
)
_FEW: Final = {0: NO_REPLICA, 1: ONE_REPLICA, 2: TWO_REPLICAS}
_HOST: Final = "kubernetes.io/hostname"
_ZONES: Final = frozenset({
    "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone",
})  # fmt: skip
"""Pods in different zones are on different nodes."""
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
        if pod.kind == "Deployment" and not scaled and replicas in _FEW:
            told = f"replicas is {replicas}"
            yield _FEW[replicas].finding(pod.owner, told, "/spec/replicas")
        constraints = pod.spec.get("topologySpreadConstraints")
        if pod.kind == "Deployment" and not constraints:
            message = "the pods have no topologySpreadConstraints"
            yield SPREAD_MISSING.finding(pod.owner, message, pod.path)
        yield from _together(pod, several=replicas > 1 or scaled)


def _together(pod: PodTemplate, *, several: bool) -> Iterator[Finding]:
    keys = _apart_by(pod)
    if _HOST in keys:
        return
    if several and _ZONES.isdisjoint(keys):
        message = "nothing keeps the pods on different nodes"
        yield SAME_NODE.finding(pod.owner, message, pod.path)
    elif several:
        message = "the pods are kept in different zones, and not only on different nodes"
        yield NOT_BY_NODE.finding(pod.owner, message, f"{pod.path}/affinity")
    elif at(pod.owner.body, "spec", "replicas") is None and _ZONES.isdisjoint(keys):
        message = "replicas is not set, and nothing keeps pods on different nodes"
        yield SAME_NODE_LATER.finding(pod.owner, message, pod.path)


def _apart_by(pod: PodTemplate) -> set[JsonValue]:
    """The topology keys by which its pods keep away from each other."""
    affinity = mapping(at(pod.spec, "affinity", "podAntiAffinity"))
    terms = [t for _, t in entries(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))]
    terms += [
        mapping(weighted.get("podAffinityTerm"))
        for _, weighted in entries(affinity.get("preferredDuringSchedulingIgnoredDuringExecution"))
    ]
    return {
        term.get("topologyKey")
        for term in terms
        # Without a selector a term means no pods.
        if term.get("labelSelector") is not None and selects(term["labelSelector"], pod.labels)
    }


def _blind(pod: PodTemplate) -> Iterator[Finding]:
    for index, constraint in entries(pod.spec.get("topologySpreadConstraints")):
        selector: JsonValue | None = constraint.get("labelSelector")
        path = f"{pod.path}/topologySpreadConstraints/{index}"
        if selector is None:
            message = "the constraint has no labelSelector, so it counts no pods"
            yield SPREAD_UNSELECTIVE.finding(pod.owner, message, path)
        elif not selects(selector, pod.labels):
            message = "the constraint does not select the pods that it is on"
            yield SPREAD_BLIND.finding(pod.owner, message, path)
        for field, fits in _SPREAD_FIELDS.items():
            if not fits(constraint.get(field)):
                shown = constraint.get(field, "not set")
                message = f"{field} cannot be {shown}"
                yield SPREAD_INVALID.finding(pod.owner, message, f"{path}/{field}")


def _is_positive(value: JsonValue | None) -> bool:
    return isinstance(value, int) and value > 0


_SPREAD_FIELDS: Final[Mapping[str, Callable[[JsonValue | None], bool]]] = {
    "maxSkew": _is_positive,
    "minDomains": lambda value: value is None or _is_positive(value),
    "topologyKey": bool,
    "whenUnsatisfiable": lambda value: value in ("DoNotSchedule", "ScheduleAnyway"),
}
"""Field -> whether the API server takes its value."""
