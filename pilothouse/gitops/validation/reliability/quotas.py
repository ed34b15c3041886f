"""Pods against the ResourceQuotas and LimitRanges of the same set."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.quantities import quantity
from pilothouse.gitops.validation.object_set import ObjectSet, PodTemplate, same_namespace
from pilothouse.gitops.validation.reliability.replicas import replicas_of
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, mapping
from pilothouse.models.findings import Finding

QUOTA = Rule(
    "quota-exceeded",
    "warning",
    "The pods of a namespace need more than its ResourceQuota allows",
    "The last ones are refused, and their workloads never become ready.",
    "Raise the quota, or lower requests, limits or replicas.",
)
RANGE = Rule(
    "limit-range-exceeded",
    "warning",
    "A container is outside of the LimitRange of its namespace",
    "Its pods are refused.",
    "Change the container's limit or request, or the LimitRange.",
)
RULES = (QUOTA, RANGE)
_COUNTED: Final = {
    "requests.cpu": ("requests", "cpu"),
    "cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
_RUNNING: Final = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "Pod"})
"""Kinds whose number of pods is declared."""


def check_quotas(objects: ObjectSet) -> Iterator[Finding]:
    """Every quota and range, against the pods that surely are in its namespace."""
    for manifest in objects.manifests:
        match manifest.ref.kind:
            case "ResourceQuota" if not at(manifest.body, "spec", "scopes"):
                yield from _quota(manifest, _pods_of(manifest, objects))
            case "LimitRange":
                for _, limit in entries(at(manifest.body, "spec", "limits")):
                    if limit.get("type") == "Container":
                        yield from _range(manifest, limit, _pods_of(manifest, objects))
            case _:
                pass


def _pods_of(manifest: LoadedManifest, objects: ObjectSet) -> list[PodTemplate]:
    return [p for p in objects.pods if same_namespace(p.namespace, manifest.ref.namespace)]


def _quota(manifest: LoadedManifest, pods: list[PodTemplate]) -> Iterator[Finding]:
    running = [pod for pod in pods if pod.kind in _RUNNING]
    for name, hard in mapping(at(manifest.body, "spec", "hard")).items():
        allowed = quantity(hard)
        if allowed is None:
            continue
        if name in {"pods", "count/pods"}:
            needed = Decimal(sum(map(replicas_of, running)))
        elif name in _COUNTED:
            field, resource = _COUNTED[name]
            needed = sum(
                (_of_pod(pod, field, resource) * replicas_of(pod) for pod in running), Decimal(0)
            )
        else:
            continue
        if needed > allowed:
            message = f"{name} is {hard}, and the workloads of this set need {needed:f}"
            yield QUOTA.finding(manifest, message, f"/spec/hard/{name}")


def _of_pod(pod: PodTemplate, field: str, resource: str) -> Decimal:
    amounts = (
        quantity(at(container.body, "resources", field, resource))
        for container in pod.containers
        if container.kind == "regular"
    )
    return sum((amount for amount in amounts if amount is not None), Decimal(0))


def _range(
    manifest: LoadedManifest, limit: Mapping[str, JsonValue], pods: list[PodTemplate]
) -> Iterator[Finding]:
    for pod in pods:
        for container in pod.containers:
            for bound, field in (("max", "limits"), ("min", "requests")):
                for resource, value in mapping(limit.get(bound)).items():
                    given = at(container.body, "resources", field, resource)
                    amount, allowed = quantity(given), quantity(value)
                    if amount is None or allowed is None:
                        continue
                    if amount > allowed if bound == "max" else amount < allowed:
                        yield RANGE.finding(
                            pod.owner,
                            f'the container "{container.name}" has {resource} {given}; '
                            f"{manifest.ref} allows a {bound} of {value}",
                            f"{container.path}/resources/{field}/{resource}",
                        )
