"""Settings of Deployments, StatefulSets, Jobs and CronJobs."""

from collections.abc import Iterator
from typing import Final

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.reliability.tables import Violation, each_object
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, mapping, text

STRATEGY = Rule(
    "update-strategy",
    "info",
    "A Deployment is not updated pod by pod",
    "Recreate ends all pods before it starts new ones: each update is an outage.",
    "Use RollingUpdate, unless two versions must never run together.",
    {
        "kube-linter": ("no-rolling-update-strategy",),
        "kube-score": ("deployment-strategy",),
    },
)
STUCK_UPDATE = Rule(
    "update-strategy-stuck",
    "error",
    "A rolling update may neither add nor remove a pod",
    "The API server refuses maxSurge and maxUnavailable that are both 0.",
    "Set one of them to 1 or more.",
)
NO_HISTORY = Rule(
    "revision-history-zero",
    "info",
    "A workload keeps no earlier revision",
    "The cluster itself can take nothing back.",
    "Set revisionHistoryLimit to 1 or more.",
)
SHARED_VOLUME = Rule(
    "volume-shared-once",
    "warning",
    "Several pods mount a volume that only one node can have",
    "Pods on other nodes wait for it for ever.",
    "Use a StatefulSet with volumeClaimTemplates, or a ReadWriteMany volume.",
)
SERVICE_MISSING = Rule(
    "statefulset-service-missing",
    "info",
    "A StatefulSet has no headless Service",
    "Its pods have no names of their own in DNS.",
    "Set serviceName to a Service with clusterIP: None.",
    {"kube-score": ("statefulset-has-servicename",)},
)
DEADLINE = Rule(
    "cronjob-deadline-missing",
    "info",
    "A CronJob has no starting deadline",
    "After a hundred missed starts it never starts again.",
    "Set startingDeadlineSeconds.",
    {"kube-score": ("cronjob-has-deadline",)},
)
OVERLAP = Rule(
    "cronjob-concurrency",
    "info",
    "Runs of a CronJob may overlap",
    "A run that hangs is joined by the next, until the cluster is full.",
    "Set concurrencyPolicy to Forbid or Replace.",
)
JOB_RESTART = Rule(
    "job-restart-policy",
    "error",
    "A job's pods have no restart policy that a job may have",
    "The API server refuses anything but OnFailure and Never, also the default.",
    "Set restartPolicy: OnFailure, or Never.",
    {"kube-score": ("cronjob-restartpolicy",)},
)
JOB_KEPT = Rule(
    "job-ttl-missing",
    "info",
    "A finished Job is kept for ever",
    "Jobs and their pods pile up.",
    "Set ttlSecondsAfterFinished.",
    {"kube-linter": ("job-ttl-seconds-after-finished",)},
)
RULES = (
    STRATEGY,
    STUCK_UPDATE,
    NO_HISTORY,
    SHARED_VOLUME,
    SERVICE_MISSING,
    DEADLINE,
    OVERLAP,
    JOB_RESTART,
    JOB_KEPT,
)
_ONE_NODE: Final = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})


def _strategy(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    kind = text(at(manifest.body, "spec", "strategy", "type"))
    if kind and kind != "RollingUpdate":
        yield Violation("/spec/strategy/type", f"the strategy is {kind}")


def _stuck(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    rolling = mapping(at(manifest.body, "spec", "strategy", "rollingUpdate"))
    bounds = [rolling.get("maxSurge"), rolling.get("maxUnavailable")]
    if all(value in (0, "0%") and value is not False for value in bounds):
        yield Violation("/spec/strategy/rollingUpdate", "maxSurge and maxUnavailable are both 0")


def _no_history(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    if at(manifest.body, "spec", "revisionHistoryLimit") == 0:
        yield Violation("/spec/revisionHistoryLimit", "revisionHistoryLimit is 0")


def _shared_volume(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    replicas = at(manifest.body, "spec", "replicas")
    if not isinstance(replicas, int) or replicas < 2:
        return
    volumes = at(manifest.body, "spec", "template", "spec", "volumes")
    for index, volume in entries(volumes):
        name = text(at(volume, "persistentVolumeClaim", "claimName"))
        claim = objects.find("PersistentVolumeClaim", manifest.ref.namespace, name)
        modes = at(claim.body, "spec", "accessModes") if claim is not None else None
        if isinstance(modes, list) and modes and all(mode in _ONE_NODE for mode in modes):
            message = f'{replicas} pods share the claim "{name}", which is {modes[0]}'
            yield Violation(f"/spec/template/spec/volumes/{index}", message)


def _service_missing(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    name = text(at(manifest.body, "spec", "serviceName"))
    service = objects.find("Service", manifest.ref.namespace, name) if name else None
    if service is None:
        message = f'the Service "{name}" is not in this set' if name else "serviceName is not set"
        yield Violation("/spec/serviceName", message)
    elif at(service.body, "spec", "clusterIP") != "None":
        yield Violation("/spec/serviceName", f'the Service "{name}" is not headless')
    elif not _is_selected(manifest, service):
        yield Violation("/spec/serviceName", f'the Service "{name}" selects other pods')


def _is_selected(workload: LoadedManifest, service: LoadedManifest) -> bool:
    labels = mapping(at(service.body, "spec", "selector"))
    own = mapping(at(workload.body, "spec", "template", "metadata", "labels"))
    return all(own.get(key) == value for key, value in labels.items())


def _no_deadline(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    if at(manifest.body, "spec", "startingDeadlineSeconds") is None:
        yield Violation("/spec", "startingDeadlineSeconds is not set")


def _overlap(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    if at(manifest.body, "spec", "concurrencyPolicy") in (None, "Allow"):
        yield Violation("/spec", "concurrencyPolicy is Allow")


def _job_restart(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    template = (
        ("jobTemplate", "spec", "template") if manifest.ref.kind == "CronJob" else ("template",)
    )
    policy = at(manifest.body, "spec", *template, "spec", "restartPolicy")
    if policy in (None, "Always"):
        path = "/".join(("", "spec", *template, "spec", "restartPolicy"))
        yield Violation(path, f"restartPolicy is {policy or 'not set, so Always'}")


def _job_kept(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    if at(manifest.body, "spec", "ttlSecondsAfterFinished") is None:
        yield Violation("/spec", "ttlSecondsAfterFinished is not set")


CHECKS = (
    each_object(
        frozenset({"Deployment"}),
        (STRATEGY, _strategy),
        (STUCK_UPDATE, _stuck),
        (SHARED_VOLUME, _shared_volume),
    ),
    each_object(frozenset({"Deployment", "StatefulSet", "DaemonSet"}), (NO_HISTORY, _no_history)),
    each_object(frozenset({"StatefulSet"}), (SERVICE_MISSING, _service_missing)),
    each_object(frozenset({"CronJob"}), (DEADLINE, _no_deadline), (OVERLAP, _overlap)),
    each_object(frozenset({"CronJob", "Job"}), (JOB_RESTART, _job_restart)),
    each_object(frozenset({"Job"}), (JOB_KEPT, _job_kept)),
)
