"""Sound workloads of every kind, and how to change one thing about them."""

from collections.abc import Mapping
from copy import deepcopy

from pydantic import JsonValue

Object = dict[str, JsonValue]

KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Deployment": ("apps/v1", ("spec", "template")),
    "StatefulSet": ("apps/v1", ("spec", "template")),
    "DaemonSet": ("apps/v1", ("spec", "template")),
    "ReplicaSet": ("apps/v1", ("spec", "template")),
    "ReplicationController": ("v1", ("spec", "template")),
    "Job": ("batch/v1", ("spec", "template")),
    "CronJob": ("batch/v1", ("spec", "jobTemplate", "spec", "template")),
    "Pod": ("v1", ()),
    "PodTemplate": ("v1", ("template",)),
}
"""Kind -> API version, and where its pod template is."""
_SELECTING = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"})
_SCALED = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"})
_JOBS = frozenset({"Job", "CronJob"})


def merged(target: Object, change: Mapping[str, JsonValue]) -> Object:
    """A copy of an object with a JSON merge patch applied."""
    result = deepcopy(target)
    for key, value in change.items():
        current = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(current if isinstance(current, dict) else {}, value)
        else:
            result[key] = deepcopy(value)
    return result


def container(name: str = "main") -> Object:
    """A container that no check has anything to say about, but for opinions."""
    amounts = {"cpu": "200m", "memory": "256Mi", "ephemeral-storage": "1Gi"}
    return {
        "name": name,
        "image": "example.com/app:1",
        "imagePullPolicy": "Always",
        "ports": [{"containerPort": 8080, "name": "http"}],
        "livenessProbe": {"httpGet": {"path": "/live", "port": 8080}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
        "resources": {"requests": {**amounts}, "limits": {**amounts}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 20000,
            "runAsGroup": 20000,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def sound_pod(kind: str) -> Object:
    """The spec of a pod with one such container, for a workload of a kind."""
    apart: JsonValue = {
        "weight": 1,
        "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": {"app": "x"}},
        },
    }
    spec: Object = {
        "automountServiceAccountToken": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "affinity": {
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [apart]}
        },
        "containers": [container()],
    }
    return spec | ({"restartPolicy": "Never"} if kind in _JOBS else {})


def workload(kind: str, name: str, pod: Object | None = None, *, namespace: str = "") -> Object:
    """A sound workload whose pods have the label `app: x`; with another pod spec if given one."""
    version, steps = KINDS[kind]
    template: Object = {"metadata": {"labels": {"app": "x"}}, "spec": pod or sound_pod(kind)}
    own: Object = {"name": name, **({"namespace": namespace} if namespace else {})}
    body: Object = {"apiVersion": version, "kind": kind, "metadata": own}
    if not steps:
        return body | {"metadata": own | {"labels": {"app": "x"}}, "spec": template["spec"]}
    inner: Object = {steps[-1]: template}
    for step in reversed(steps[:-1]):
        inner = {step: inner}
    if kind in _SELECTING:
        inner = merged(inner, {"spec": {"selector": {"matchLabels": {"app": "x"}}}})
    if kind in _SCALED:
        inner = merged(inner, {"spec": {"replicas": 2}})
    if kind == "CronJob":
        inner = merged(inner, {"spec": {"schedule": "0 * * * *", "startingDeadlineSeconds": 60}})
    return body | inner
