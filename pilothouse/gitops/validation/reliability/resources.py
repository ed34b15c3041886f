"""CPU, memory and storage of containers."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Literal

from pydantic import JsonValue

from pilothouse.gitops.quantities import quantity
from pilothouse.gitops.validation.object_set import Container, ObjectSet, PodTemplate
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import mapping
from pilothouse.models.findings import Finding, Severity

Field = Literal["requests", "limits"]
_Counterparts = dict[str, tuple[str, ...]]

_ALL: Final[_Counterparts] = {"kube-score": ("container-resources",)}
_WHY: Final = {
    ("cpu", "requests"): "The scheduler puts it where no CPU is left, and it starves first.",
    ("memory", "requests"): "The scheduler puts it where no memory is left; it is evicted first.",
    ("cpu", "limits"): "One busy container can slow down all others of its node.",
    ("memory", "limits"): "A leak takes the memory of all others of its node.",
}
_ELSEWHERE: Final[dict[tuple[str, str], _Counterparts]] = {
    ("cpu", "requests"): {
        "kubescape": ("C-0268", "C-0050"),
        "polaris": ("cpuRequestsMissing",),
        "kube-linter": ("unset-cpu-requirements",),
        "checkov": ("CKV_K8S_10",),
    },
    ("memory", "requests"): {
        "kubescape": ("C-0269", "C-0004"),
        "polaris": ("memoryRequestsMissing",),
        "kube-linter": ("unset-memory-requirements",),
        "checkov": ("CKV_K8S_12",),
    },
    ("cpu", "limits"): {
        "kubescape": ("C-0270", "C-0050", "C-0009"),
        "polaris": ("cpuLimitsMissing",),
        "checkov": ("CKV_K8S_11",),
    },
    ("memory", "limits"): {
        "kubescape": ("C-0271", "C-0004", "C-0009"),
        "polaris": ("memoryLimitsMissing",),
        "kube-linter": ("unset-memory-requirements",),
        "checkov": ("CKV_K8S_13",),
    },
}
_NOT_OF_INIT: Final = frozenset({"kubescape", "polaris"})
"""Tools that leave out init containers."""


def _missing_rule(resource: str, field: str, *, init: bool) -> Rule:
    what = field.removesuffix("s")
    severity: Severity = "info" if init or (resource, field) == ("cpu", "limits") else "warning"
    elsewhere = _ELSEWHERE[resource, field] | _ALL
    return Rule(
        f"{'init-' if init else ''}{resource}-{what}-missing",
        severity,
        f"{'An init' if init else 'A'} container has no {resource} {what}",
        _WHY[resource, field],
        f"Set resources.{field}.{resource}.",
        {tool: ids for tool, ids in elsewhere.items() if not (init and tool in _NOT_OF_INIT)},
    )


_MISSING: Final = {
    (resource, field, init): _missing_rule(resource, field, init=init)
    for init in (False, True)
    for resource, field in _WHY
}
STORAGE_MISSING = Rule(
    "ephemeral-storage-missing",
    "info",
    "A container has no request and limit of ephemeral storage",
    "One container that fills its disk gets its neighbours evicted.",
    "Set resources.requests and resources.limits of ephemeral-storage.",
    {"kube-score": ("container-ephemeral-storage-request-and-limit",)},
)
NOT_EQUAL: Final = {
    "cpu": Rule(
        "cpu-request-not-limit",
        "info",
        "A container's CPU request and limit differ",
        "The pod is not of the class Guaranteed.",
        "Set both to the same value where latency matters.",
        {
            "kube-score": (
                "container-cpu-requests-equal-limits",
                "container-resource-requests-equal-limits",
            )
        },
    ),
    "memory": Rule(
        "memory-request-not-limit",
        "info",
        "A container's memory request and limit differ",
        "What it uses above its request it may lose, and itself with it.",
        "Set both to the same value.",
        {
            "kube-score": (
                "container-memory-requests-equal-limits",
                "container-resource-requests-equal-limits",
            )
        },
    ),
    "ephemeral-storage": Rule(
        "ephemeral-storage-request-not-limit",
        "info",
        "A container's request and limit of ephemeral storage differ",
        "What it uses above its request it may lose, and itself with it.",
        "Set both to the same value.",
        {"kube-score": ("container-ephemeral-storage-request-equals-limit",)},
    ),
}
REQUEST_ABOVE_LIMIT = Rule(
    "request-above-limit",
    "error",
    "A container requests more than its limit",
    "The API server refuses the pod.",
    "Lower the request, or raise the limit.",
)
OUT_OF_RANGE = Rule(
    "resource-range",
    "info",
    "A container's limit is unusually small or large",
    "A container with too little is killed or throttled; one with much fits on few nodes.",
    "Measure what it needs, and set the limit to that.",
    {"polaris": ("resourceRange",)},
)
RULES = (
    *_MISSING.values(),
    STORAGE_MISSING,
    *NOT_EQUAL.values(),
    REQUEST_ABOVE_LIMIT,
    OUT_OF_RANGE,
)
_RANGES: Final[dict[str, tuple[Decimal, Decimal]]] = {
    "cpu": (Decimal("0.1"), Decimal(2)),
    "memory": (Decimal(100 * 1024**2), Decimal(6 * 10**9)),
}
"""CPUs, and bytes; what most services live with."""


def check_resources(objects: ObjectSet) -> Iterator[Finding]:
    """Every container of every pod; ephemeral ones can have none."""
    for pod in objects.pods:
        for container in pod.containers:
            if container.kind != "ephemeral":
                resources = mapping(container.body.get("resources"))
                requests = mapping(resources.get("requests"))
                limits = mapping(resources.get("limits"))
                yield from _missing(pod, container, requests, limits)
                yield from _compared(pod, container, requests, limits)


def _missing(
    pod: PodTemplate,
    container: Container,
    requests: dict[str, JsonValue],
    limits: dict[str, JsonValue],
) -> Iterator[Finding]:
    shared = mapping(mapping(pod.spec.get("resources")).get("limits"))
    for (resource, field, init), rule in _MISSING.items():
        given = requests if field == "requests" else limits
        if init != (container.kind == "init") or resource in given:
            continue
        # The API server takes the limit as the request; a pod's own limits bound all containers.
        harmless = resource in limits or resource in shared
        yield pod.owner.finding(
            rule.id,
            "info" if harmless else rule.severity,
            f'the container "{container.name}" has no {resource} {field.removesuffix("s")}',
            path=f"{container.path}/resources/{field}",
            fix=rule.fix,
        )
    storage = "ephemeral-storage"
    if storage not in requests or storage not in limits:
        message = f'the container "{container.name}" does not bound its ephemeral storage'
        yield STORAGE_MISSING.finding(pod.owner, message, f"{container.path}/resources")


def _compared(
    pod: PodTemplate,
    container: Container,
    requests: dict[str, JsonValue],
    limits: dict[str, JsonValue],
) -> Iterator[Finding]:
    for resource in {**requests, **limits}:
        request, limit = quantity(requests.get(resource)), quantity(limits.get(resource))
        path = f"{container.path}/resources/requests/{resource}"
        both = f"requests {requests.get(resource, 'no')} {resource}, its limit is " + str(
            limits.get(resource, "not set")
        )
        message = f'the container "{container.name}" {both}'
        if request is not None and limit is not None and request > limit:
            yield REQUEST_ABOVE_LIMIT.finding(pod.owner, message, path)
        elif request != limit and _is_comparable(resource, request, limit):
            yield NOT_EQUAL[resource].finding(pod.owner, message, path)
        lowest, highest = _RANGES.get(resource, (Decimal(0), Decimal("Infinity")))
        if limit is not None and container.kind == "regular" and not lowest <= limit <= highest:
            message = f'the container "{container.name}" has a {resource} limit of ' + str(
                limits.get(resource)
            )
            path = f"{container.path}/resources/limits/{resource}"
            yield OUT_OF_RANGE.finding(pod.owner, message, path)


def _is_comparable(resource: str, request: Decimal | None, limit: Decimal | None) -> bool:
    """Whether there is a rule for the difference; one for missing storage says the rest."""
    if resource == "ephemeral-storage":
        return request is not None and limit is not None
    return resource in NOT_EQUAL
