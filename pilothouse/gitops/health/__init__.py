"""Is an object working? Pure rules over one live object, as the API server answers it."""

from collections.abc import Callable, Sequence
from typing import Final

from pilothouse.gitops.health import platform, workloads
from pilothouse.gitops.health.custom import custom_resource, reports_nothing
from pilothouse.gitops.health.fields import LiveObject, ref_of, text
from pilothouse.gitops.health.verdict import HEALTHY, Health, worst
from pilothouse.models.health import ObjectHealth
from pilothouse.models.objects import ObjectRef
from pilothouse.models.pipeline import HealthCheck

__all__ = [
    "WORKLOADS",
    "assess",
    "needs_status",
    "reports_nothing",
    "worst",
]

_RULES: Final[dict[tuple[str, str], Callable[[LiveObject], Health]]] = {
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("", "ReplicationController"): workloads.replica_set,
    ("batch", "Job"): workloads.job,
    ("batch", "CronJob"): workloads.cron_job,
    ("", "Pod"): workloads.pod,
    ("", "Service"): platform.service,
    ("networking.k8s.io", "Ingress"): platform.ingress,
    ("", "PersistentVolumeClaim"): platform.volume_claim,
    ("autoscaling", "HorizontalPodAutoscaler"): platform.autoscaler,
    ("policy", "PodDisruptionBudget"): platform.disruption_budget,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): platform.resource_definition,
    ("apiregistration.k8s.io", "APIService"): platform.api_service,
    ("", "Namespace"): platform.namespace,
}

WORKLOADS: Final = frozenset({
    "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "Pod",
})  # fmt: skip
"""Kinds that run pods: their health may flicker, and their pods say why they are not well."""


def assess(live: LiveObject, checks: Sequence[HealthCheck] = ()) -> ObjectHealth:
    """Judge one live object from itself alone.

    What a check matches is judged by that check. Else built-in kinds have their own rule or work by
    existing, and every other kind is judged by the conventions in `custom`.

    Args:
        live: the whole object, with `metadata` and `status`. Any JSON is survived.
        checks: the repository's own, in CEL. The first one for the object's kind counts.
    """
    ref = ref_of(live)
    health = _judge(live, ref, checks)
    return ObjectHealth(object=ref, status=health.status, message=health.message)


def needs_status(ref: ObjectRef, checks: Sequence[HealthCheck] = ()) -> bool:
    """Whether the object can be unhealthy while it exists; if not, its metadata is enough."""
    checked = any((one.api_version, one.kind) == (ref.api_version, ref.kind) for one in checks)
    return checked or (ref.group, ref.kind) in _RULES or not _is_built_in(ref.group)


def _judge(live: LiveObject, ref: ObjectRef, checks: Sequence[HealthCheck]) -> Health:
    if text(live, "metadata", "deletionTimestamp"):
        return Health("Progressing", "is being deleted")
    if checks:
        # CEL is loaded where there are checks: most processes have none.
        from pilothouse.gitops.health.checks import by_check, matching

        if (check := matching(live, checks)) is not None:
            return by_check(live, check)
    rule = _RULES.get((ref.group, ref.kind))
    if rule is not None:
        return rule(live)
    return HEALTHY if _is_built_in(ref.group) else custom_resource(live, ref.group, ref.kind)


def _is_built_in(group: str) -> bool:
    """Kubernetes' own groups: without a dot, or reserved below `k8s.io`.

    Projects of the community use `*.x-k8s.io` or have a controller that reports conditions; these
    count as custom.
    """
    return "." not in group or group in _OWN_GROUPS


_OWN_GROUPS: Final = frozenset(
    f"{name}.k8s.io"
    for name in (
        "admissionregistration", "apiextensions", "apiregistration", "authentication",
        "authorization", "certificates", "coordination", "discovery", "events",
        "flowcontrol.apiserver", "internal.apiserver", "networking", "node",
        "rbac.authorization", "resource", "scheduling", "storage",
    )
)  # fmt: skip
