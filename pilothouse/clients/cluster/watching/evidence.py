"""Collecting what shows why an object is not well: pods, events, the ends of logs."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import structlog

from pilothouse.clients.cluster.answers import Refusal, Unavailable
from pilothouse.clients.cluster.parallel import in_parallel
from pilothouse.clients.cluster.resources import step
from pilothouse.clients.cluster.transport import Transport
from pilothouse.clients.cluster.watching.listing import Lister, Look
from pilothouse.gitops.diagnosis import (
    ContainerLog,
    Seen,
    current_pods,
    current_replica_set,
    diagnose,
)
from pilothouse.gitops.diagnosis.containers import container_troubles
from pilothouse.gitops.health import WORKLOADS
from pilothouse.gitops.health.fields import LiveObject, number, objects, text
from pilothouse.models.health import Diagnosis

log = structlog.get_logger()

_MAX_DIAGNOSES: Final = 20
_MAX_PODS: Final = 2
"""Pods of one workload whose events and logs are read: replicas fail alike."""
_MAX_EVENTS: Final = 50
_LOG_LINES: Final = 20
_LOG_BYTES: Final = 16 * 1024


class Surroundings(NamedTuple):
    """The pods and ReplicaSets of one namespace at one moment."""

    pods: tuple[LiveObject, ...] = ()
    replica_sets: tuple[LiveObject, ...] = ()


class Trouble(NamedTuple):
    """One object that is not healthy, and what the health rules said."""

    look: Look
    message: str


class Evidence:
    """Reads what a diagnosis needs, and no more."""

    def __init__(self, transport: Transport, lister: Lister) -> None:
        self._transport = transport
        self._lister = lister

    async def around(self, looks: Iterable[Look]) -> dict[str, Surroundings]:
        """Pods and ReplicaSets of every namespace in which a workload stands."""
        # What is not there has no pods, and its namespace may be no name at all.
        standing = [look for look in looks if look.live is not None]
        namespaces = {look.ref.namespace for look in standing if look.ref.kind in WORKLOADS}
        return {name: await self._surroundings(name) for name in sorted(namespaces)}

    async def diagnose(
        self, troubles: Sequence[Trouble], around: dict[str, Surroundings], *, deep: bool
    ) -> tuple[Diagnosis, ...]:
        """Diagnose at most 20 objects; `deep` reads events and logs too."""

        async def one(trouble: Trouble) -> Diagnosis:
            return diagnose(await self._seen(trouble, around, deep))

        return tuple(await in_parallel(one, troubles[:_MAX_DIAGNOSES]))

    async def _seen(self, trouble: Trouble, around: dict[str, Surroundings], deep: bool) -> Seen:
        ref, live = trouble.look.ref, trouble.look.live
        here = around.get(ref.namespace, Surroundings())
        pods = current_pods(live, here.replica_sets, here.pods) if live else ()
        seen = Seen(ref, live, trouble.message, pods)
        if not deep or live is None:
            return seen
        worst = sorted(pods, key=lambda pod: not container_troubles(pod))[:_MAX_PODS]
        owner = current_replica_set(live, here.replica_sets)
        about = [live, *([owner] if owner else []), *worst]
        events = [event for thing in about for event in await self._events(thing, ref.namespace)]
        events.sort(key=_when)
        logs = [found for pod in worst for found in await self._logs(pod)]
        return seen._replace(events=tuple(events), logs=tuple(logs))

    async def _surroundings(self, namespace: str) -> Surroundings:
        return Surroundings(
            pods=await self._all(_in("/api/v1", namespace, "pods")),
            replica_sets=await self._all(_in("/apis/apps/v1", namespace, "replicasets")),
        )

    async def _all(self, path: str) -> tuple[LiveObject, ...]:
        try:
            return tuple([item async for item in self._lister.pages(path)])
        except Refusal as refusal:
            # A diagnosis from less is still one; what is missing stands in the log.
            log.warning("evidence_refused", path=path, message=str(refusal))
            return ()

    async def _events(self, live: LiveObject, namespace: str) -> list[LiveObject]:
        uid = text(live, "metadata", "uid")
        path = _in("/api/v1", namespace or "default", "events")
        query = {"fieldSelector": f"involvedObject.uid={uid}", "limit": str(_MAX_EVENTS)}
        try:
            return objects(await self._transport.json("GET", path, query=query), "items")
        except Refusal as refusal:
            log.warning("evidence_refused", path=path, message=str(refusal))
            return []

    async def _logs(self, pod: LiveObject) -> list[ContainerLog]:
        """Of each container in trouble: the run that crashed, then the present one."""
        statuses = [
            *objects(pod, "status", "initContainerStatuses"),
            *objects(pod, "status", "containerStatuses"),
        ]
        restarts = {text(status, "name"): number(status, "restartCount") for status in statuses}
        found = []
        for name in dict.fromkeys(t.container for t in container_troubles(pod) if t.container):
            if restarts.get(name):
                found.append(await self._log(pod, name, previous=True))
            found.append(await self._log(pod, name, previous=False))
        return [tail for tail in found if tail is not None]

    async def _log(self, pod: LiveObject, container: str, *, previous: bool) -> ContainerLog | None:
        name, namespace = text(pod, "metadata", "name"), text(pod, "metadata", "namespace")
        query = {
            "container": container,
            "previous": "true" if previous else "false",
            "tailLines": str(_LOG_LINES),
            "limitBytes": str(_LOG_BYTES),
        }
        path = f"{_in('/api/v1', namespace, 'pods')}/{step(name)}/log"
        try:
            data = await self._transport.raw("GET", path, query=query, seconds=10)
        except (Refusal, Unavailable) as error:
            # The kubelet answers 400 for a container that never ran, and 5xx when it is away.
            log.info("log_not_available", pod=name, container=container, error=str(error))
            return None
        return ContainerLog(name, container, data.decode(errors="replace"), previous)


def _in(root: str, namespace: str, plural: str) -> str:
    return f"{root}/namespaces/{step(namespace)}/{plural}"


def _when(event: LiveObject) -> str:
    """When an event was last seen, as ISO 8601: the newer API's field, or the older one's."""
    return (
        text(event, "series", "lastObservedTime")
        or text(event, "lastTimestamp")
        or text(event, "eventTime")
        or text(event, "metadata", "creationTimestamp")
    )
