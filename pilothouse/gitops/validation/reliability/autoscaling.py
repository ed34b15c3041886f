"""HorizontalPodAutoscalers that cannot scale, or fight with what Git says."""

from collections.abc import Iterator

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import Container, ObjectSet, PodTemplate
from pilothouse.gitops.validation.reliability.selection import Autoscalers
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, mapping, text
from pilothouse.models.findings import Finding

NO_ROOM = Rule(
    "hpa-max-not-above-min",
    "warning",
    "An autoscaler has no room to scale",
    "minReplicas equals maxReplicas: load changes nothing.",
    "Set maxReplicas above minReplicas.",
    {"polaris": ("hpaMaxAvailability",)},
)
MIN_ABOVE_MAX = Rule(
    "hpa-min-above-max",
    "error",
    "An autoscaler's minimum is above its maximum",
    "The API server refuses it.",
    "Set maxReplicas above minReplicas.",
    {"polaris": ("hpaMaxAvailability",)},
)
ONE_POD = Rule(
    "hpa-min-one",
    "info",
    "An autoscaler may scale down to one pod",
    "Each restart, and each drained node, is then an outage.",
    "Set minReplicas to at least 2.",
    {
        "polaris": ("hpaMinAvailability",),
        "kube-score": ("horizontalpodautoscaler-replicas",),
        "kube-linter": ("hpa-minimum-three-replicas",),
    },
)
TWO_PODS = Rule(
    "hpa-min-below-three",
    "info",
    "An autoscaler may scale down to two pods",
    "While one node is drained, the next crash can be an outage.",
    "Set minReplicas to at least 3 where that matters.",
    {"kube-linter": ("hpa-minimum-three-replicas",)},
)
MIN_UNSET = Rule(
    "hpa-min-unset",
    "info",
    "An autoscaler does not say how many pods are left without load",
    "It is one: each restart, and each drained node, is then an outage.",
    "Set minReplicas to at least 2.",
    {
        "kube-score": ("horizontalpodautoscaler-replicas",),
        "kube-linter": ("hpa-minimum-three-replicas",),
    },
)
REPLICAS_SET = Rule(
    "hpa-replicas-set",
    "warning",
    "A workload under an autoscaler sets its replicas",
    "Each deployment puts back the number from Git, whatever the load is.",
    "Remove spec.replicas.",
    {"kube-score": ("deployment-targeted-by-hpa-does-not-have-replicas-configured",)},
)
NO_REQUEST = Rule(
    "hpa-request-missing",
    "warning",
    "An autoscaler measures use against a request that is not set",
    "Without a request there is no percentage: it never scales.",
    "Set the request of every container, or use an average value.",
)
RULES = (NO_ROOM, MIN_ABOVE_MAX, ONE_POD, TWO_PODS, MIN_UNSET, REPLICAS_SET, NO_REQUEST)


def check_autoscaling(objects: ObjectSet) -> Iterator[Finding]:
    """Every autoscaler, and the workload that it scales."""
    scalers = Autoscalers(objects)
    for manifest in objects.manifests:
        if manifest.ref.kind == "HorizontalPodAutoscaler":
            yield from _bounds(manifest)
    for pod in objects.pods:
        scaler = scalers.of(pod.owner)
        if scaler is None:
            continue
        replicas = at(pod.owner.body, "spec", "replicas")
        if replicas is not None:
            message = f"replicas is {replicas}, and {scaler.ref} scales it"
            yield REPLICAS_SET.finding(pod.owner, message, "/spec/replicas")
        yield from _unmeasured(scaler, pod)


def _bounds(scaler: LoadedManifest) -> Iterator[Finding]:
    fewest = at(scaler.body, "spec", "minReplicas")
    most = at(scaler.body, "spec", "maxReplicas")
    path = "/spec/minReplicas"
    known = fewest if isinstance(fewest, int) else 1
    if isinstance(most, int) and known >= most:
        rule = NO_ROOM if known == most else MIN_ABOVE_MAX
        message = f"minReplicas is {known} and maxReplicas {most}"
        yield rule.finding(scaler, message, "/spec/maxReplicas")
    if isinstance(fewest, int) and fewest < 2:
        yield ONE_POD.finding(scaler, f"minReplicas is {fewest}", path)
    elif fewest is None:
        yield MIN_UNSET.finding(scaler, "minReplicas is not set, so 1", path)
    elif known < 3:
        yield TWO_PODS.finding(scaler, f"minReplicas is {fewest}", path)


def _unmeasured(scaler: LoadedManifest, pod: PodTemplate) -> Iterator[Finding]:
    for path, resource, only in _measured(mapping(scaler.body.get("spec"))):
        without = [
            container.name
            for container in pod.containers
            if container.kind == "regular"
            and only in {"", container.name}
            and not _requests(container, resource)
        ]
        if without and resource not in mapping(at(pod.spec, "resources", "requests")):
            shown = ", ".join(f'"{name}"' for name in without)
            message = f"{pod.owner.ref}: no {resource} request in the containers {shown}"
            yield NO_REQUEST.finding(scaler, message, path)


def _measured(spec: dict[str, JsonValue]) -> Iterator[tuple[str, str, str]]:
    """Path, resource and container of each metric that is a share of a request."""
    if spec.get("targetCPUUtilizationPercentage") is not None:
        yield "/spec/targetCPUUtilizationPercentage", "cpu", ""
    for index, metric in entries(spec.get("metrics")):
        for field in ("resource", "containerResource"):
            source = mapping(metric.get(field))
            if at(source, "target", "type") == "Utilization":
                path = f"/spec/metrics/{index}/{field}"
                yield path, text(source.get("name")), text(source.get("container"))


def _requests(container: Container, resource: str) -> bool:
    resources = container.body.get("resources")
    # The API server takes the limit as the request.
    return any(at(resources, field, resource) is not None for field in ("requests", "limits"))
