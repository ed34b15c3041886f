"""Why is an object not well? Pods, events and logs in; one cause with its evidence out."""

from typing import Final

from pilothouse.gitops.diagnosis.containers import Trouble, container_troubles
from pilothouse.gitops.diagnosis.owners import current_pods, current_replica_set
from pilothouse.gitops.diagnosis.seen import ContainerLog, Seen
from pilothouse.gitops.diagnosis.text import most_telling, quote
from pilothouse.gitops.health.fields import LiveObject, conditions, text
from pilothouse.models.health import Cause, Diagnosis, Evidence

__all__ = ["ContainerLog", "Seen", "current_pods", "current_replica_set", "diagnose"]

_RANK: Final[tuple[Cause, ...]] = (
    "missing_object",
    "quota",
    "bad_configuration",
    "out_of_memory",
    "crash_loop",
    "image_pull",
    "job_failed",
    "unschedulable",
    "not_ready",
    "timeout",
    "unknown",
)
"""Which cause to name if there are several of one finality: the one nearest to the root."""
_MAX_EVIDENCE: Final = 6


def diagnose(seen: Seen) -> Diagnosis:
    """Name the cause of one object's trouble from the closed list, with what shows it.

    Args:
        seen: what was read; any of its parts may be missing, and none of its text is trusted.

    Returns:
        A diagnosis with a one-sentence summary; `final` if waiting cannot change anything.
    """
    troubles = [*_of_the_object(seen), *_of_its_pods(seen)]
    worst = min(troubles, key=lambda trouble: (not trouble.final, _RANK.index(trouble.cause)))
    return Diagnosis(
        object=seen.ref,
        cause=worst.cause,
        summary=_sentence(worst, troubles),
        final=worst.final,
        evidence=_evidence(seen, worst),
    )


def _of_the_object(seen: Seen) -> list[Trouble]:
    """What the object's own status says, always with a last resort."""
    if seen.live is None:
        return [Trouble("missing_object", f"{seen.ref} is not in the cluster.", True, "")]
    found = conditions(seen.live)
    troubles = [Trouble("unknown", _reported(seen), False, "")]
    failed = found.get("Failed", {})
    if seen.ref.kind == "Job" and text(failed, "status") == "True":
        reason = text(failed, "reason") or "Failed"
        summary = f"The Job failed ({reason})."
        troubles.append(Trouble("job_failed", summary, True, "", "", text(failed, "message")))
    progressing = found.get("Progressing", {})
    if text(progressing, "reason") == "ProgressDeadlineExceeded":
        summary = "The rollout made no progress within its deadline."
        troubles.append(Trouble("not_ready", summary, True, "", "", text(progressing, "message")))
    refused = text(found.get("ReplicaFailure"), "message") or _refused_pods(seen)
    if refused:
        cause: Cause = "quota" if "quota" in refused.lower() else "bad_configuration"
        what = "a quota forbids them" if cause == "quota" else "the cluster refuses them"
        troubles.append(Trouble(cause, f"Pods cannot be created: {what}.", False, "", "", refused))
    return troubles


def _reported(seen: Seen) -> str:
    said = quote(seen.message, 200)
    return f"{seen.ref.kind} {seen.ref.name} is not healthy{': ' + said if said else ''}."


def _refused_pods(seen: Seen) -> str:
    """The latest event that says that a controller may not make its pods, unless it got them."""
    if seen.pods:
        return ""
    reasons = [e for e in seen.events if text(e, "reason") == "FailedCreate"]
    return _note(reasons[-1]) if reasons else ""


def _of_its_pods(seen: Seen) -> list[Trouble]:
    return [trouble for pod in seen.pods for trouble in (*_of_a_pod(pod), *container_troubles(pod))]


def _of_a_pod(pod: LiveObject) -> list[Trouble]:
    name = text(pod, "metadata", "name")
    scheduled = conditions(pod).get("PodScheduled", {})
    if text(scheduled, "reason") == "Unschedulable":
        summary = f"Pod {name} fits on no node."
        return [Trouble("unschedulable", summary, False, name, "", text(scheduled, "message"))]
    if text(pod, "status", "reason") == "Evicted":
        message = text(pod, "status", "message")
        return [Trouble("unschedulable", f"Pod {name} was evicted.", False, name, "", message)]
    return []


def _sentence(worst: Trouble, troubles: list[Trouble]) -> str:
    """The summary, and how many more pods share it."""
    pods = {trouble.pod for trouble in troubles if trouble.cause == worst.cause and trouble.pod}
    if len(pods) < 2:
        return worst.summary
    return f"{worst.summary.removesuffix('.')}, in {len(pods)} pods."


def _evidence(seen: Seen, worst: Trouble) -> tuple[Evidence, ...]:
    """The cluster's words, then the log, then the latest warnings; nothing twice."""
    place = f"{seen.ref.namespace}/" if seen.ref.namespace else ""
    source = f"Pod/{place}{worst.pod}" if worst.pod else str(seen.ref)
    if worst.container:
        source += f"/{worst.container}"
    found: list[Evidence] = []
    if worst.detail:
        found.append(Evidence(kind="status", source=source, text=quote(worst.detail)))
    elif not worst.pod and seen.message:
        found.append(Evidence(kind="condition", source=source, text=quote(seen.message)))
    found.extend(_from_logs(seen, worst, place))
    found.extend(_from_events(seen, worst))
    unique = {item.text: item for item in reversed(found) if item.text}
    return tuple(item for item in found if unique.get(item.text) is item)[:_MAX_EVIDENCE]


def _from_logs(seen: Seen, worst: Trouble, place: str) -> list[Evidence]:
    """The most telling line, then the very last: of the container in trouble, crash first."""
    logs = [log for log in seen.logs if not worst.pod or log.pod == worst.pod]
    logs = [log for log in logs if not worst.container or log.container == worst.container]
    found = []
    for log in sorted(logs, key=lambda log: not log.previous)[:2]:
        lines = [line for line in log.text.splitlines() if line.strip()]
        source = f"Pod/{place}{log.pod}/{log.container}"
        for line in (most_telling(log.text), quote(lines[-1]) if lines else ""):
            if line:
                found.append(Evidence(kind="log", source=source, text=line))
    return found


def _from_events(seen: Seen, worst: Trouble) -> list[Evidence]:
    """The last warnings about the pod in trouble, or about anything if there is none."""
    warnings = [event for event in seen.events if text(event, "type") == "Warning"]
    about = [event for event in warnings if _object_of(event)[1] == worst.pod] or warnings
    found = []
    for event in reversed(about[-3:]):
        kind, name = _object_of(event)
        words = f"{text(event, 'reason')}: {_note(event)}"
        found.append(Evidence(kind="event", source=f"{kind}/{name}", text=quote(words)))
    return found


def _object_of(event: LiveObject) -> tuple[str, str]:
    """Kind and name of what an event is about, in the core API's form or the newer one."""
    for field in ("involvedObject", "regarding"):
        if text(event, field, "name"):
            return text(event, field, "kind"), text(event, field, "name")
    return "", ""


def _note(event: LiveObject) -> str:
    return text(event, "message") or text(event, "note")
