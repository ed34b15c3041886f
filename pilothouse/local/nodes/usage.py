"""What simulated pods would use, in the words of the metrics API. Pure.

They are idle: each container uses a tenth of what it requests. So an autoscaler that works finds
nothing to do, and one that cannot work says why.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from kubernetes.utils import parse_quantity

from pilothouse.local.nodes.pods.documents import Document, timestamp

GROUP = "metrics.k8s.io"
VERSION = "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"

_SHARE = Decimal("0.1")
_UNREQUESTED = {"cpu": Decimal("0.001"), "memory": Decimal(8 * 1024 * 1024)}
_WINDOW = "1s"
"""Over which usage is said to be measured: autoscalers ignore a pod that was not ready for it."""
_KEY = r"[^\s!=,()]+"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<set_key>{_KEY})\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)"
    rf"|(?P<key>{_KEY})\s*(?P<equals>==?|!=)\s*(?P<value>[^\s!=,()]*)"
    rf"|(?P<absent>!?)(?P<bare>{_KEY}))\s*(?:,|$)"
)


def pod_usage(pod: Document, now: float) -> Document | None:
    """`PodMetrics` of one pod; None unless it runs."""
    if (pod.get("status") or {}).get("phase") != "Running":
        return None
    metadata = pod["metadata"]
    named = {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata}
    containers = [
        {"name": container["name"], "usage": _rendered(_usage(container))}
        for container in pod["spec"]["containers"]
    ]
    return _measured("PodMetrics", named, now) | {"containers": containers}


def node_usage(name: str, pods: list[Document], now: float) -> Document:
    """`NodeMetrics` of one node: the sum of its running pods."""
    total = {resource: Decimal(0) for resource in _UNREQUESTED}
    for pod in pods:
        if (pod.get("status") or {}).get("phase") != "Running":
            continue
        for container in pod["spec"]["containers"]:
            for resource, amount in _usage(container).items():
                total[resource] += amount
    return _measured("NodeMetrics", {"name": name}, now) | {"usage": _rendered(total)}


def resource_list() -> Document:
    """What discovery says about the API."""
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": API_VERSION,
        "resources": [
            {
                "name": name,
                "singularName": "",
                "namespaced": name == "pods",
                "kind": kind,
                "verbs": ["get", "list"],
            }
            for name, kind in (("nodes", "NodeMetrics"), ("pods", "PodMetrics"))
        ],
    }


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether a label selector, as in a query, matches some labels.

    Raises:
        ValueError: it is no label selector.
    """
    return all(
        (labels.get(key) in values if values is not None else key in labels) is wanted
        for key, values, wanted in list(_requirements(selector))
    )


def _requirements(selector: str) -> Iterator[tuple[str, frozenset[str] | None, bool]]:
    """Key, values (None: any), and whether they are wanted."""
    position = 0
    while position < len(selector):
        match = _REQUIREMENT.match(selector, position)
        if match is None:
            raise ValueError(f"{selector!r} is no label selector")
        position = match.end()
        if match["set_key"]:
            values = frozenset(value.strip() for value in match["values"].split(","))
            yield match["set_key"], values, match["set"] == "in"
        elif match["key"]:
            yield match["key"], frozenset({match["value"]}), match["equals"] != "!="
        else:
            yield match["bare"], None, not match["absent"]


def _usage(container: Document) -> dict[str, Decimal]:
    requests = (container.get("resources") or {}).get("requests") or {}
    return {
        resource: parse_quantity(requests[resource]) * _SHARE if resource in requests else least
        for resource, least in _UNREQUESTED.items()
    }


def _rendered(usage: Mapping[str, Decimal]) -> dict[str, str]:
    return {"cpu": f"{int(usage['cpu'] * 10**9)}n", "memory": str(int(usage["memory"]))}


def _measured(kind: str, metadata: Document, now: float) -> Document:
    return {
        "kind": kind,
        "apiVersion": API_VERSION,
        "metadata": {**metadata, "creationTimestamp": timestamp(now)},
        "timestamp": timestamp(now),
        "window": _WINDOW,
    }
