"""Health of the kinds that run pods."""

from pilothouse.gitops.health.fields import (
    LiveObject,
    at,
    conditions,
    flag,
    generation_observed,
    number,
    objects,
    text,
)
from pilothouse.gitops.health.verdict import HEALTHY, Health

_NOT_OBSERVED = Health("Progressing", "the controller has not seen the latest spec yet")


def deployment(live: LiveObject) -> Health:
    """Every replica is of the new revision and available, and no old one is left."""
    if flag(live, "spec", "paused"):
        return Health("Suspended", "the Deployment is paused")
    if not generation_observed(live):
        return _NOT_OBSERVED
    progressing = conditions(live).get("Progressing", {})
    if text(progressing, "reason") == "ProgressDeadlineExceeded":
        return Health("Degraded", text(progressing, "message") or "exceeded its progress deadline")
    wanted = number(live, "spec", "replicas", default=1)
    updated = number(live, "status", "updatedReplicas")
    available = number(live, "status", "availableReplicas")
    if updated < wanted:
        return Health("Progressing", f"{updated} of {wanted} replicas are of the new revision")
    old = number(live, "status", "replicas") - updated
    if old > 0:
        return Health("Progressing", f"{old} old replicas are still there")
    if available < updated:
        return Health("Progressing", f"{available} of {updated} new replicas are available")
    return HEALTHY


def stateful_set(live: LiveObject) -> Health:
    """Every replica is ready, and of the new revision as far as the strategy wants it."""
    if not generation_observed(live):
        return _NOT_OBSERVED
    wanted = number(live, "spec", "replicas", default=1)
    ready = number(live, "status", "readyReplicas")
    if ready < wanted:
        return Health("Progressing", f"{ready} of {wanted} replicas are ready")
    if text(live, "spec", "updateStrategy", "type") == "OnDelete":
        return HEALTHY
    partition = number(live, "spec", "updateStrategy", "rollingUpdate", "partition")
    updated = number(live, "status", "updatedReplicas")
    if partition:
        if updated < wanted - partition:
            return Health(
                "Progressing", f"{updated} of {wanted - partition} replicas above the partition"
            )
        return HEALTHY
    if text(live, "status", "updateRevision") != text(live, "status", "currentRevision"):
        return Health("Progressing", f"{updated} of {wanted} replicas are of the new revision")
    return HEALTHY


def daemon_set(live: LiveObject) -> Health:
    """Every node that should has an available pod of the new revision."""
    if not generation_observed(live):
        return _NOT_OBSERVED
    wanted = number(live, "status", "desiredNumberScheduled")
    updated = number(live, "status", "updatedNumberScheduled")
    available = number(live, "status", "numberAvailable")
    on_delete = text(live, "spec", "updateStrategy", "type") == "OnDelete"
    if updated < wanted and not on_delete:
        return Health("Progressing", f"{updated} of {wanted} pods are of the new revision")
    if available < wanted:
        return Health("Progressing", f"{available} of {wanted} pods are available")
    if at(live, "status", "observedGeneration") is None:
        return _NOT_OBSERVED
    return HEALTHY


def replica_set(live: LiveObject) -> Health:
    """Every replica is available."""
    if not generation_observed(live):
        return _NOT_OBSERVED
    failure = conditions(live).get("ReplicaFailure", {})
    if text(failure, "status") == "True":
        return Health("Degraded", text(failure, "message"))
    wanted = number(live, "spec", "replicas", default=1)
    available = number(live, "status", "availableReplicas")
    if available < wanted:
        return Health("Progressing", f"{available} of {wanted} replicas are available")
    return HEALTHY


def job(live: LiveObject) -> Health:
    """Complete, failed, suspended, or still at it."""
    found = conditions(live)
    for kind in ("Failed", "FailureTarget"):
        if text(found.get(kind), "status") == "True":
            return Health("Degraded", text(found[kind], "message") or "the Job failed")
    if text(found.get("Complete"), "status") == "True":
        return Health("Healthy", text(found["Complete"], "message"))
    if flag(live, "spec", "suspend") or text(found.get("Suspended"), "status") == "True":
        return Health("Suspended", "the Job is suspended")
    return Health("Progressing", f"{number(live, 'status', 'succeeded')} pods have succeeded")


def cron_job(live: LiveObject) -> Health:
    """A schedule works by existing; its Jobs are looked at one by one."""
    if flag(live, "spec", "suspend"):
        return Health("Suspended", "the CronJob is suspended")
    return HEALTHY


def pod(live: LiveObject) -> Health:
    """By phase, readiness, and what its containers wait for."""
    stuck = _stuck_container(live) if _restarts_always(live) else ""
    if stuck:
        return Health("Degraded", stuck)
    phase = text(live, "status", "phase")
    if phase == "Succeeded":
        return HEALTHY
    if phase == "Failed":
        return Health("Degraded", text(live, "status", "message") or _why_it_failed(live))
    if phase != "Running" or not _restarts_always(live):
        return Health("Progressing", text(live, "status", "message") or f"phase {phase or 'none'}")
    if text(conditions(live).get("Ready"), "status") == "True":
        return HEALTHY
    if any(at(status, "lastState", "terminated") for status in _containers(live)):
        return Health("Degraded", text(conditions(live).get("Ready"), "message"))
    return Health("Progressing", text(conditions(live).get("Ready"), "message"))


def _restarts_always(live: LiveObject) -> bool:
    """Whether the pod is meant to run for ever.

    A pod that is not is judged by its phase alone, unless Argo CD's annotation says otherwise and
    the pod is no hook.
    """
    if text(live, "spec", "restartPolicy") in {"Always", ""}:
        return True
    annotations = at(live, "metadata", "annotations")
    ignores = text(annotations, "argocd.argoproj.io/ignore-restart-policy") == "true"
    return ignores and not text(annotations, "argocd.argoproj.io/hook")


def _containers(live: LiveObject) -> list[LiveObject]:
    return [
        *objects(live, "status", "initContainerStatuses"),
        *objects(live, "status", "containerStatuses"),
    ]


def _stuck_container(live: LiveObject) -> str:
    for status in _containers(live):
        reason = text(status, "state", "waiting", "reason")
        if reason.startswith("Err") or reason.endswith(("Error", "BackOff", "ErrImageName")):
            return text(status, "state", "waiting", "message") or reason
    return ""


def _why_it_failed(live: LiveObject) -> str:
    for status in _containers(live):
        code = number(status, "state", "terminated", "exitCode")
        if code:
            return f"container {text(status, 'name')} ended with exit code {code}"
    return text(live, "status", "reason") or "the pod failed"
