"""Which pods stand for a workload's present revision: those of older ones must not count."""

from collections.abc import Iterable, Sequence

from pilothouse.gitops.health.fields import LiveObject, generation_observed, objects, text

_REVISION = "deployment.kubernetes.io/revision"


def current_replica_set(
    deployment: LiveObject, replica_sets: Iterable[LiveObject]
) -> LiveObject | None:
    """The ReplicaSet of a Deployment's latest spec; None while the controller has made none."""
    if not generation_observed(deployment):
        return None
    revision = text(deployment, "metadata", "annotations", _REVISION)
    for candidate in replica_sets:
        same = text(candidate, "metadata", "annotations", _REVISION) == revision
        if same and revision and _owned_by(candidate, deployment):
            return candidate
    return None


def current_pods(
    live: LiveObject, replica_sets: Sequence[LiveObject], pods: Sequence[LiveObject]
) -> tuple[LiveObject, ...]:
    """The pods of one object's present revision; the object itself if it is a pod."""
    kind = text(live, "kind")
    if kind == "Pod":
        return (live,)
    if kind == "Deployment":
        owner = current_replica_set(live, replica_sets)
        return () if owner is None else _pods_of(owner, pods)
    label, revision = _revision_label(live, kind)
    mine = _pods_of(live, pods)
    if not revision:
        return mine
    return tuple(pod for pod in mine if text(pod, "metadata", "labels", label) == revision)


def _revision_label(live: LiveObject, kind: str) -> tuple[str, str]:
    """The pod label that carries a controller's revision, and its present value."""
    if kind == "StatefulSet":
        return "controller-revision-hash", text(live, "status", "updateRevision")
    if kind == "DaemonSet":
        annotation = "deprecated.daemonset.template.generation"
        return "pod-template-generation", text(live, "metadata", "annotations", annotation)
    return "", ""


def _pods_of(owner: LiveObject, pods: Iterable[LiveObject]) -> tuple[LiveObject, ...]:
    """Its pods that are not on their way out."""
    return tuple(
        pod
        for pod in pods
        if _owned_by(pod, owner) and not text(pod, "metadata", "deletionTimestamp")
    )


def _owned_by(live: LiveObject, owner: LiveObject) -> bool:
    uid = text(owner, "metadata", "uid")
    owners = objects(live, "metadata", "ownerReferences")
    return bool(uid) and any(text(reference, "uid") == uid for reference in owners)
