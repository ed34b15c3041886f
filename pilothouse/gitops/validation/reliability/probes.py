"""Probes: whether there are any, and whether they can work."""

from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.validation.object_set import Container, ObjectSet, PodTemplate
from pilothouse.gitops.validation.reliability.selection import services_of
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, mapping, text
from pilothouse.models.findings import Finding, Severity

_READINESS: Final = {
    "kubescape": ("C-0018",),
    "polaris": ("readinessProbeMissing",),
    "kube-linter": ("no-readiness-probe",),
    "checkov": ("CKV_K8S_9",),
}
_WAIT: Final = "Traffic and rollouts go on before it can answer."

LIVENESS_MISSING = Rule(
    "liveness-probe-missing",
    "info",
    "A container has no liveness probe",
    "A process that hangs is not restarted.",
    "Add a livenessProbe that fails only when a restart helps.",
    {
        "kubescape": ("C-0056",),
        "polaris": ("livenessProbeMissing",),
        "kube-linter": ("no-liveness-probe",),
        "checkov": ("CKV_K8S_8",),
    },
)
READINESS_MISSING = Rule(
    "readiness-probe-missing",
    "info",
    "A container has no readiness probe",
    _WAIT,
    "Add a readinessProbe.",
    _READINESS,
)
SERVED_UNREADY = Rule(
    "readiness-probe-missing-behind-service",
    "warning",
    "A Service sends requests to pods without any readiness probe",
    _WAIT,
    "Add a readinessProbe.",
    _READINESS | {"kube-score": ("pod-probes",)},
)
IDENTICAL = Rule(
    "probes-identical",
    "info",
    "Liveness and readiness probe ask for the same",
    "A container that is only busy is killed instead of left alone, and the rest follow it.",
    "Let the liveness probe ask for less.",
    {"kube-score": ("pod-probes-identical",)},
)
TIMING = Rule(
    "probe-timing",
    "warning",
    "A probe may take longer than the time to the next one",
    "Failures are noticed later than the settings say.",
    "Set timeoutSeconds below periodSeconds.",
)
_PORT: Final = {
    f"{name}Probe": Rule(
        f"{name}-probe-port",
        "warning",
        f"A {name} probe asks a port that the container does not declare",
        "If nothing listens there, the probe never succeeds.",
        "Correct the port, or declare it.",
        {"kube-linter": (f"{name}-port",)},
    )
    for name in ("liveness", "readiness", "startup")
}
RULES = (LIVENESS_MISSING, READINESS_MISSING, SERVED_UNREADY, IDENTICAL, TIMING, *_PORT.values())
_JOBS: Final = frozenset({"Job", "CronJob"})
_HANDLERS: Final = ("exec", "grpc", "httpGet", "tcpSocket")


def check_probes(objects: ObjectSet) -> Iterator[Finding]:
    """Every container that keeps running: those of jobs end by themselves."""
    services = services_of(objects)
    for pod in objects.pods:
        running = [c for c in pod.containers if c.kind == "regular"]
        unready = [c for c in running if not mapping(c.body.get("readinessProbe"))]
        if pod.kind not in _JOBS:
            served = len(unready) == len(running) and any(services.selecting(pod))
            rule = SERVED_UNREADY if served else READINESS_MISSING
            for container in unready:
                message = f'the container "{container.name}" has no readinessProbe'
                yield rule.finding(pod.owner, message, container.path)
        for container in pod.containers:
            if container.kind == "regular":
                yield from _container(pod, container)
            elif container.body.get("restartPolicy") == "Always":
                yield from _compared(pod, container)


def _container(pod: PodTemplate, container: Container) -> Iterator[Finding]:
    liveness = mapping(container.body.get("livenessProbe"))
    if not liveness and pod.kind not in _JOBS:
        message = f'the container "{container.name}" has no livenessProbe'
        yield LIVENESS_MISSING.finding(pod.owner, message, container.path)
    yield from _compared(pod, container)
    for name, rule in _PORT.items():
        probe = mapping(container.body.get(name))
        if probe:
            path = f"{container.path}/{name}"
            yield from _port(pod, container, probe, rule, path)
            yield from _timing(pod, probe, path)


def _compared(pod: PodTemplate, container: Container) -> Iterator[Finding]:
    liveness = _handler(mapping(container.body.get("livenessProbe")))
    if liveness and liveness == _handler(mapping(container.body.get("readinessProbe"))):
        message = f'both probes of the container "{container.name}" ask for the same'
        yield IDENTICAL.finding(pod.owner, message, f"{container.path}/livenessProbe")


def _handler(probe: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {key: probe[key] for key in _HANDLERS if key in probe}


def _port(
    pod: PodTemplate, container: Container, probe: dict[str, JsonValue], rule: Rule, path: str
) -> Iterator[Finding]:
    for handler in ("httpGet", "tcpSocket", "grpc"):
        wanted = at(probe, handler, "port")
        if not isinstance(wanted, str | int) or isinstance(wanted, bool):
            continue
        ports = [port for _, port in entries(container.body.get("ports"))]
        named = isinstance(wanted, str) and not wanted.isdecimal()
        known = {
            text(port.get("name")) if named else str(port.get("containerPort")) for port in ports
        }
        if str(wanted) not in known:
            shown = ", ".join(sorted(filter(None, known))) or "none"
            # An undeclared number may still be listened on; an unknown name stands for nothing.
            severity: Severity = rule.severity if named else "info"
            yield pod.owner.finding(
                rule.id,
                severity,
                f'the container "{container.name}" declares no port {wanted}; its ports: {shown}',
                path=f"{path}/{handler}/port",
                fix=rule.fix,
            )


def _timing(pod: PodTemplate, probe: dict[str, JsonValue], path: str) -> Iterator[Finding]:
    timeout, period = probe.get("timeoutSeconds", 1), probe.get("periodSeconds", 10)
    if isinstance(timeout, int) and isinstance(period, int) and timeout > period:
        message = f"the probe may take {timeout} s and is due every {period} s"
        yield TIMING.finding(pod.owner, message, f"{path}/timeoutSeconds")
