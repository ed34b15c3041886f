"""Is an object working?"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from pilothouse.gitops.health import assess, needs_status, reports_nothing, worst
from pilothouse.models.health import HealthStatus
from pilothouse.models.objects import ObjectRef

GROUPS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "APIService": "apiregistration.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "Widget": "example.com/v1",
    "Gateway": "gateway.networking.k8s.io/v1",
}
ROLLED_OUT = {
    "observedGeneration": 2,
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
}


def live(kind: str, spec: Any = None, status: Any = None, **metadata: Any) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {
        "apiVersion": GROUPS.get(kind, "v1"),
        "kind": kind,
        "metadata": {"name": "it", "namespace": "prod", "generation": 2, **metadata},
    }
    if spec is not None:
        found["spec"] = spec
    if status is not None:
        found["status"] = status
    return found


def says(kind: str, status: str, reason: str = "", message: str = "", **more: Any) -> Any:
    return {"type": kind, "status": status, "reason": reason, "message": message, **more}


def conditions(*found: Any, **status: Any) -> dict[str, Any]:
    return {"observedGeneration": 2, "conditions": list(found), **status}


WORKLOADS: list[tuple[str, Any, Any, str]] = [
    ("Deployment", {"replicas": 2}, ROLLED_OUT, "Healthy"),
    ("Deployment", {"replicas": 0}, {"observedGeneration": 2}, "Healthy"),
    ("Deployment", {"replicas": 2}, ROLLED_OUT | {"updatedReplicas": 1}, "Progressing"),
    ("Deployment", {}, {"observedGeneration": 2}, "Progressing"),
    ("Deployment", {"replicas": 2}, ROLLED_OUT | {"observedGeneration": 1}, "Progressing"),
    ("Deployment", {"replicas": 2}, ROLLED_OUT | {"replicas": 3}, "Progressing"),
    ("Deployment", {"replicas": 2}, ROLLED_OUT | {"availableReplicas": 1}, "Progressing"),
    ("Deployment", {"replicas": 2, "paused": True}, ROLLED_OUT, "Suspended"),
    (
        "Deployment",
        {"replicas": 2},
        conditions(says("Progressing", "False", "ProgressDeadlineExceeded")),
        "Degraded",
    ),
    ("StatefulSet", {"replicas": 2}, ROLLED_OUT | {"readyReplicas": 1}, "Progressing"),
    (
        "StatefulSet",
        {"replicas": 2},
        ROLLED_OUT | {"updateRevision": "b", "currentRevision": "a"},
        "Progressing",
    ),
    (
        "StatefulSet",
        {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}},
        ROLLED_OUT | {"updatedReplicas": 1, "updateRevision": "b", "currentRevision": "a"},
        "Healthy",
    ),
    ("DaemonSet", {}, {}, "Progressing"),
    (
        "DaemonSet",
        {},
        {
            "observedGeneration": 2,
            "desiredNumberScheduled": 2,
            "updatedNumberScheduled": 2,
            "numberAvailable": 2,
        },
        "Healthy",
    ),
    (
        "DaemonSet",
        {},
        {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1},
        "Progressing",
    ),
    ("ReplicaSet", {"replicas": 1}, conditions(says("ReplicaFailure", "True")), "Degraded"),
    ("Job", {}, conditions(says("Complete", "True")), "Healthy"),
    ("Job", {}, conditions(says("FailureTarget", "True")), "Degraded"),
    ("Job", {}, {"active": 1}, "Progressing"),
    ("Job", {"suspend": True}, {}, "Suspended"),
    ("CronJob", {"suspend": True}, {}, "Suspended"),
    ("CronJob", {}, {}, "Healthy"),
]
PLATFORM: list[tuple[str, Any, Any, str]] = [
    ("Service", {"type": "ClusterIP"}, {"loadBalancer": {}}, "Healthy"),
    ("Service", {"type": "LoadBalancer"}, {"loadBalancer": {}}, "Progressing"),
    ("Service", {"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{}]}}, "Healthy"),
    ("PersistentVolumeClaim", {}, {"phase": "Bound"}, "Healthy"),
    ("PersistentVolumeClaim", {}, {"phase": "Lost"}, "Degraded"),
    ("PersistentVolumeClaim", {}, {"phase": "Pending"}, "Progressing"),
    ("PodDisruptionBudget", {}, None, "Progressing"),
    ("PodDisruptionBudget", {}, {"currentHealthy": 1, "desiredHealthy": 2}, "Progressing"),
    ("PodDisruptionBudget", {}, {"currentHealthy": 2, "desiredHealthy": 2}, "Healthy"),
    (
        "PodDisruptionBudget",
        {},
        {"currentHealthy": 0, "desiredHealthy": 1, "expectedPods": 0},
        "Healthy",
    ),
    (
        "HorizontalPodAutoscaler",
        {},
        conditions(says("ScalingActive", "False", "FailedGetResourceMetric")),
        "Degraded",
    ),
    ("CustomResourceDefinition", {}, conditions(says("Established", "True")), "Healthy"),
    ("CustomResourceDefinition", {}, conditions(says("NamesAccepted", "False")), "Degraded"),
    ("CustomResourceDefinition", {}, {}, "Progressing"),
    ("APIService", {}, conditions(says("Available", "False")), "Progressing"),
    ("Namespace", {}, {"phase": "Active"}, "Healthy"),
    ("Namespace", {}, {"phase": "Terminating"}, "Progressing"),
    ("ConfigMap", None, None, "Healthy"),
    ("NetworkPolicy", {}, None, "Healthy"),
    ("ClusterRole", None, None, "Healthy"),
]
CUSTOM: list[tuple[Any, Any, str]] = [
    ({}, conditions(says("Ready", "True")), "Healthy"),
    ({}, conditions(says("Ready", "False", "Pending")), "Progressing"),
    ({}, conditions(says("Ready", "False", "InstallFailed")), "Degraded"),
    ({}, conditions(says("Ready", "Unknown")), "Progressing"),
    ({}, conditions(says("Ready", "True"), says("Reconciling", "True")), "Progressing"),
    ({}, conditions(says("Ready", "True"), says("Stalled", "True")), "Degraded"),
    ({}, conditions(says("Ready", "True", observedGeneration=1)), "Progressing"),
    ({}, {"observedGeneration": 1, "conditions": [says("Ready", "True")]}, "Progressing"),
    ({}, conditions(says("Frobnicated", "True")), "Unknown"),
    ({}, {"phase": "Running"}, "Healthy"),
    ({}, {"phase": "In Progress"}, "Progressing"),
    ({}, {"state": "error"}, "Degraded"),
    ({"suspend": True}, {"phase": "Running"}, "Suspended"),
    ({}, {"phase": "Flummoxed"}, "Unknown"),
    ({}, {}, "Progressing"),
]


@pytest.mark.parametrize(("kind", "spec", "status", "expected"), WORKLOADS + PLATFORM)
def test_a_built_in_kind_is_judged_by_its_own_rule(
    kind: str, spec: Any, status: Any, expected: HealthStatus
) -> None:
    assert assess(live(kind, spec, status)).status == expected


@pytest.mark.parametrize(("spec", "status", "expected"), CUSTOM)
@pytest.mark.parametrize("kind", ["Widget", "Gateway"])
def test_a_custom_resource_is_judged_by_what_it_reports(
    kind: str, spec: Any, status: Any, expected: HealthStatus
) -> None:
    assert assess(live(kind, spec, status)).status == expected


@pytest.mark.parametrize("kind", ["Deployment", "ConfigMap", "Widget", "Pod"])
def test_what_is_being_deleted_is_not_healthy(kind: str) -> None:
    dying = live(kind, {}, ROLLED_OUT, deletionTimestamp="2026-01-01T00:00:00Z")
    assert assess(dying).status == "Progressing"


def pod(restart: str, phase: str, ready: str, **container: Any) -> dict[str, JsonValue]:
    status = conditions(
        says("Ready", ready), phase=phase, containerStatuses=[{"name": "api", **container}]
    )
    return live("Pod", {"restartPolicy": restart}, status)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pod("Always", "Running", "True"), "Healthy"),
        (pod("Always", "Running", "False"), "Progressing"),
        (pod("Always", "Pending", "False", state={"waiting": {"reason": "X"}}), "Progressing"),
        (
            pod("Always", "Pending", "False", state={"waiting": {"reason": "ErrImagePull"}}),
            "Degraded",
        ),
        (
            pod("Always", "Running", "False", lastState={"terminated": {"exitCode": 1}}),
            "Degraded",
        ),
        (pod("Never", "Running", "True"), "Progressing"),
        (pod("Never", "Succeeded", "False"), "Healthy"),
        (pod("Never", "Failed", "False", state={"terminated": {"exitCode": 3}}), "Degraded"),
    ],
)
def test_a_pod_is_judged_by_phase_and_containers(
    found: dict[str, JsonValue], expected: HealthStatus
) -> None:
    assert assess(found).status == expected


def test_a_failed_pod_names_the_container_and_its_exit_code() -> None:
    failed = pod("Never", "Failed", "False", state={"terminated": {"exitCode": 3}})
    assert assess(failed).message == "container api ended with exit code 3"


def test_the_whole_is_as_bad_as_its_worst_part() -> None:
    assert worst(["Healthy", "Degraded", "Progressing"]) == "Degraded"
    assert worst(["Healthy", "Suspended"]) == "Suspended"
    assert worst([]) == "Missing"


def test_metadata_is_enough_for_kinds_that_work_by_existing() -> None:
    kinds = {kind: GROUPS.get(kind, "v1") for kind in ("Secret", "NetworkPolicy", "Widget", "Pod")}
    needed = {
        kind: needs_status(ObjectRef(api_version=version, kind=kind, name="it"))
        for kind, version in kinds.items()
    }
    assert needed == {"Secret": False, "NetworkPolicy": False, "Widget": True, "Pod": True}


def test_silence_is_told_apart_from_a_report() -> None:
    assert reports_nothing(live("Widget", {}))
    assert not reports_nothing(live("Widget", {}, {"phase": "Running"}))
    assert reports_nothing(live("Ingress", {}, {"loadBalancer": {}}))
    assert not reports_nothing(live("Service", {}, {"loadBalancer": {}}))
    addressed = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert not reports_nothing(live("Ingress", {}, addressed))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "status conditions type phase health state observedGeneration replicas".split()  # noqa: SIM905
            ),
            inner,
        )
    ),
    max_leaves=20,
)


@given(st.sampled_from(sorted([*GROUPS, "Pod", "Service"])), JSON, JSON)
def test_no_status_however_odd_breaks_the_judgement(kind: str, spec: Any, status: Any) -> None:
    assert assess(live(kind, spec, status)).object.name == "it"
