"""Health of the built-in kinds that run no pods themselves."""

import json

from pilothouse.gitops.health.fields import (
    LiveObject,
    at,
    conditions,
    generation_observed,
    number,
    objects,
    text,
)
from pilothouse.gitops.health.verdict import HEALTHY, Health

_HPA_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
"""Where autoscaling/v1 keeps what v2 has in its status."""


def service(live: LiveObject) -> Health:
    """Works by existing, unless it asks for a load balancer."""
    if text(live, "spec", "type") != "LoadBalancer":
        return HEALTHY
    if objects(live, "status", "loadBalancer", "ingress"):
        return HEALTHY
    return Health("Progressing", "waits for an address from the load balancer")


def ingress(live: LiveObject) -> Health:
    """Works when an ingress controller has given it an address."""
    if objects(live, "status", "loadBalancer", "ingress"):
        return HEALTHY
    return Health("Progressing", "waits for an address from its ingress controller")


def volume_claim(live: LiveObject) -> Health:
    """Works when it is bound."""
    phase = text(live, "status", "phase")
    if phase == "Bound":
        return HEALTHY
    if phase == "Lost":
        return Health("Degraded", "its volume is gone")
    return Health("Progressing", "waits for a volume")


def autoscaler(live: LiveObject) -> Health:
    """Works when it can read its metrics and scale its target."""
    found = objects(live, "status", "conditions") or _annotated_conditions(live)
    for condition in found:
        reason = text(condition, "reason")
        broken = reason.startswith(("Failed", "Invalid")) or reason == "AmbiguousSelector"
        if broken and text(condition, "status") == "False":
            return Health("Degraded", text(condition, "message"))
    for condition in found:
        if text(condition, "type") == "AbleToScale" and text(condition, "status") == "True":
            return Health("Healthy", text(condition, "message"))
    return Health("Progressing", "waits for its first look at its target")


def _annotated_conditions(live: LiveObject) -> list[LiveObject]:
    try:
        found = json.loads(text(live, "metadata", "annotations", _HPA_CONDITIONS) or "[]")
    except ValueError:
        return []
    return objects({"conditions": found}, "conditions")


def disruption_budget(live: LiveObject) -> Health:
    """Works when as many pods are healthy as it protects.

    Without any pods it protects nothing, as before an operator has made them: that is no failure of
    the budget, and who runs the pods is judged by its own rule.
    """
    if not generation_observed(live) or "status" not in live:
        return Health("Progressing", "the controller has not seen the latest spec yet")
    for condition in objects(live, "status", "conditions"):
        if text(condition, "reason") == "SyncFailed" and text(condition, "status") == "False":
            message = text(condition, "message") or "the controller cannot count its pods"
            return Health("Degraded", message)
    healthy = number(live, "status", "currentHealthy")
    wanted = number(live, "status", "desiredHealthy")
    if at(live, "status", "expectedPods") == 0:
        return Health("Healthy", "no pods match its selector yet")
    if healthy < wanted:
        return Health("Progressing", f"{healthy} of {wanted} protected pods are healthy")
    return HEALTHY


def resource_definition(live: LiveObject) -> Health:
    """Works when the API server serves its kind."""
    found = conditions(live)
    schema = found.get("NonStructuralSchema")
    if text(schema, "status") == "True":
        return Health("Degraded", text(schema, "message"))
    names = found.get("NamesAccepted")
    if text(names, "status") == "False":
        return Health("Degraded", text(names, "message"))
    if text(found.get("Established"), "status") == "True":
        return HEALTHY
    return Health("Progressing", "is not established yet")


def api_service(live: LiveObject) -> Health:
    """Works when the API behind it answers."""
    available = conditions(live).get("Available")
    if text(available, "status") == "True":
        return HEALTHY
    return Health("Progressing", text(available, "message") or "its availability is not known yet")


def namespace(live: LiveObject) -> Health:
    """Works while it is active."""
    phase = text(live, "status", "phase")
    if phase == "Active":
        return HEALTHY
    return Health("Progressing", f"phase {phase or 'none'}")
