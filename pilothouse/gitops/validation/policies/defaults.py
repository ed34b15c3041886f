"""What the API server fills in before its policies see a new object.

The fields that policies ask for most, of the built-in kinds; what is not here stays absent, and a
policy that reads it says so.
"""

from collections.abc import Mapping

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import PodTemplate
from pilothouse.gitops.validation.shapes import mapping, text

Fields = dict[str, JsonValue]

_ROLLING: Fields = {"maxSurge": "25%", "maxUnavailable": "25%"}
_SPECS: Mapping[str, Fields] = {
    "CronJob": {
        "concurrencyPolicy": "Allow",
        "failedJobsHistoryLimit": 1,
        "successfulJobsHistoryLimit": 3,
        "suspend": False,
    },
    "DaemonSet": {
        "revisionHistoryLimit": 10,
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
        },
    },
    "Deployment": {
        "progressDeadlineSeconds": 600,
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": _ROLLING},
    },
    "Job": {"backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False},
    "ReplicaSet": {"replicas": 1},
    "ReplicationController": {"replicas": 1},
    "Service": {
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
        "type": "ClusterIP",
    },
    "StatefulSet": {
        "podManagementPolicy": "OrderedReady",
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
    },
}
_POD: Fields = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
_BARE_POD: Fields = {
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
    "serviceAccountName": "default",
}
"""A pod by itself gets these from admission; a template does not."""
_CONTAINER: Fields = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE: Fields = {
    "failureThreshold": 3,
    "periodSeconds": 10,
    "successThreshold": 1,
    "timeoutSeconds": 1,
}


def defaulted(manifest: LoadedManifest, pod: PodTemplate | None, namespace: str) -> Fields:
    """A copy of an object's body with defaults; the body itself is left alone.

    Args:
        manifest: the object.
        pod: the pods that it makes, if it makes any.
        namespace: where it goes; empty if it is cluster-scoped or not known.
    """
    body = dict(manifest.body)
    if namespace:
        where: Fields = {"namespace": namespace}
        body["metadata"] = where | mapping(body.get("metadata"))
    spec = _SPECS.get(manifest.ref.kind)
    if spec is not None:
        body["spec"] = spec | mapping(body.get("spec"))
    if manifest.ref.kind == "Service":
        body["spec"] = _service(mapping(body["spec"]))
    if pod is not None:
        filled = _pod(pod)
        steps = pod.path.strip("/").split("/")
        _put(body, steps, filled)
    return body


def _put(body: Fields, steps: list[str], value: JsonValue) -> None:
    """Set a value some keys down, copying each mapping on the way."""
    for step in steps[:-1]:
        inner = dict(mapping(body.get(step)))
        body[step] = inner
        body = inner
    body[steps[-1]] = value


def _service(spec: Fields) -> Fields:
    ports: list[JsonValue] = []
    listed = spec.get("ports")
    for port in listed if isinstance(listed, list) else []:
        fields = mapping(port)
        ports.append({"protocol": "TCP", "targetPort": fields.get("port")} | fields)
    return spec | {"ports": ports} if ports else spec


def _pod(pod: PodTemplate) -> Fields:
    bare = pod.kind == "Pod"
    spec = _POD | (_BARE_POD if bare else {}) | pod.spec
    for field in ("initContainers", "containers"):
        listed = spec.get(field)
        if isinstance(listed, list):
            filled = [_container(mapping(item)) for item in listed]
            spec[field] = [_with_requests(item) if bare else item for item in filled]
    return spec


def _with_requests(container: Fields) -> Fields:
    """Limits are requests, too; in templates that waits until there is a pod."""
    resources = mapping(container.get("resources"))
    limits = mapping(resources.get("limits"))
    if not limits:
        return container
    requests = limits | mapping(resources.get("requests"))
    return container | {"resources": resources | {"requests": requests}}


def _container(fields: Fields) -> Fields:
    filled = _CONTAINER | {"imagePullPolicy": _pull_policy(text(fields.get("image")))} | fields
    ports = filled.get("ports")
    if isinstance(ports, list):
        usual: Fields = {"protocol": "TCP"}
        filled["ports"] = [usual | mapping(port) for port in ports]
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = mapping(filled.get(name))
        if probe:
            filled[name] = _PROBE | _probe(probe)
    return filled


def _probe(probe: Fields) -> Fields:
    request = mapping(probe.get("httpGet"))
    if not request:
        return probe
    usual: Fields = {"path": "/", "scheme": "HTTP"}
    return probe | {"httpGet": usual | request}


def _pull_policy(image: str) -> str:
    name = image.partition("@")[0].rpartition("/")[2]
    tagless = ":" not in name and "@" not in image
    return "Always" if tagless or name.endswith(":latest") else "IfNotPresent"
