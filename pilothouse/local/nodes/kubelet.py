"""Runs the pods that were assigned to simulated nodes: watches, steps, reports, deletes.

One loop for all nodes. The API server's object is the truth; a machine beside it remembers what a
status cannot say (fractions of seconds, what comes next). A pod is worked on when its object has
changed or its machine's time has come, and is written to only when its status says something else.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog

from pilothouse.local.nodes.addresses import AddressPool
from pilothouse.local.nodes.api import STRATEGIC_MERGE, ClusterApi, RefusedError, path
from pilothouse.local.nodes.clock import clock
from pilothouse.local.nodes.events import EventRecorder
from pilothouse.local.nodes.logs import ContainerLog
from pilothouse.local.nodes.pods.documents import Document, covers
from pilothouse.local.nodes.pods.effects import Effects
from pilothouse.local.nodes.pods.machine import PodMachine
from pilothouse.local.nodes.pods.references import Needs, Problems, needs_of, problems_of
from pilothouse.local.nodes.pods.status import Addresses, render
from pilothouse.local.nodes.sources import Sources
from pilothouse.local.nodes.workqueue import WorkQueue

_log = structlog.get_logger()

HOST_IP = "127.0.0.1"
WORKERS = 8
_RETRY_SECONDS = 1.0


@dataclass
class Pod:
    """One pod on a simulated node: the object as last seen, and the machine that plays it."""

    document: Document
    machine: PodMachine
    needs: Needs
    addresses: Addresses
    logs: dict[str, ContainerLog] = field(default_factory=dict)
    """By container name."""

    @property
    def version(self) -> int:
        """Resource versions of one collection are comparable numbers."""
        return int(self.document["metadata"]["resourceVersion"])

    @property
    def uid(self) -> str:
        """Tells a pod from its successor of the same name."""
        return str(self.document["metadata"]["uid"])


class Kubelet:
    """The pods of all simulated nodes. An informer's sink; `run` does the work."""

    def __init__(self, api: ClusterApi, events: EventRecorder, nodes: Collection[str]) -> None:
        self._api = api
        self._events = events
        self._sources = Sources(api)
        self._nodes = frozenset(nodes)
        self._queue = WorkQueue()
        self._pods: dict[str, Pod] = {}
        self._addresses = AddressPool()

    def pods(self, node: str) -> list[Document]:
        """The pods of one node, as last seen."""
        documents = (pod.document for pod in self._pods.values())
        return [document for document in documents if document["spec"]["nodeName"] == node]

    def find(self, namespace: str, name: str) -> Pod | None:
        """A pod on any of the nodes."""
        return self._pods.get(f"{namespace}/{name}")

    def replaced(self, objects: list[Document]) -> None:
        """Take a full list: what is not in it is gone."""
        listed = {_key(document) for document in objects}
        for key in [key for key in self._pods if key not in listed]:
            self._forget(key)
        for document in objects:
            self.changed(document)

    def changed(self, document: Document) -> None:
        """Take a new state of a pod."""
        if document["spec"].get("nodeName") not in self._nodes:
            return
        document["metadata"].pop("managedFields", None)
        key = _key(document)
        known = self._pods.get(key)
        if known is not None and known.uid != document["metadata"]["uid"]:
            self._forget(key)
            known = None
        if known is None:
            self._pods[key] = self._admit(document)
        elif int(document["metadata"]["resourceVersion"]) > known.version:
            known.document = document
            known.machine.update(document, clock())
        else:
            return
        self._queue.add(key)

    def removed(self, document: Document) -> None:
        """A pod is gone."""
        key = _key(document)
        known = self._pods.get(key)
        if known is not None and known.uid == document["metadata"]["uid"]:
            self._forget(key)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(WORKERS):
                    workers.create_task(
                        self._queue.serve(
                            self._sync,
                            retry_seconds=_RETRY_SECONDS,
                            failure="pod not reported, trying again",
                        )
                    )
        finally:
            self._queue.clear()

    async def _sync(self, key: str) -> None:
        """Bring one pod up to the present: step, report, and wake again in time."""
        pod = self._pods.get(key)
        if pod is None:
            return
        deleting = "deletionTimestamp" in pod.document["metadata"]
        now = clock()
        if deleting:
            self._settle(pod, pod.machine.stop(now))
        else:
            problems = await self._problems(pod, now)
            self._settle(pod, pod.machine.advance(now, problems))
        if not pod.machine.settled:
            await self._report(pod)
        if deleting:
            await self._delete(pod)
        elif pod.machine.wake is not None:
            self._queue.add_after(key, pod.machine.wake - clock())

    async def _problems(self, pod: Pod, now: float) -> Problems:
        if not pod.needs.sources() or not pod.machine.launching(now):
            return Problems()
        namespace = pod.document["metadata"]["namespace"]
        return problems_of(pod.needs, namespace, await self._sources.find(namespace, pod.needs))

    def _settle(self, pod: Pod, effects: Effects) -> None:
        """Keep what a step left behind."""
        for line in effects.logs:
            log = pod.logs.setdefault(line.container, ContainerLog())
            log.append(line.instance, line.at, line.text)
        for container in pod.machine.containers:
            if container.spec.name in pod.logs and not container.running:
                pod.logs[container.spec.name].close()
        for event in effects.events:
            self._events.record(pod.document, event, clock())

    async def _report(self, pod: Pod) -> None:
        """Write the status if the object says something else."""
        status = render(pod.machine, pod.document, pod.addresses, clock())
        if covers(pod.document.get("status"), status):
            return
        # With the uid, a status never lands on a successor of the same name: 409 instead.
        change: Document = {"metadata": {"uid": pod.uid}, "status": status}
        try:
            written = await self._api.patch(
                _path(pod.document) + "/status", change, STRATEGIC_MERGE
            )
        except RefusedError as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise
            return  # gone or replaced; the watch will tell
        # The answer may carry a deletion or an annotation whose own watch event is still under way,
        # and will be ignored as old when it comes: so it counts as that event. Unless the pod is
        # already known to be gone.
        if self._pods.get(_key(written)) is pod:
            self.changed(written)

    async def _delete(self, pod: Pod) -> None:
        """Confirm a deletion: no container is left. Finalizers may still keep the object."""
        if pod.document["metadata"].get("deletionGracePeriodSeconds") == 0:
            return  # confirmed before
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}}
        try:
            await self._api.delete(_path(pod.document), options)
        except RefusedError as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise

    def _admit(self, document: Document) -> Pod:
        now = clock()
        return Pod(
            document=document,
            machine=PodMachine(document, now),
            needs=needs_of(document),
            addresses=Addresses(HOST_IP, self._address(document)),
        )

    def _address(self, document: Document) -> str:
        if document["spec"].get("hostNetwork"):
            return HOST_IP
        return self._addresses.claim((document.get("status") or {}).get("podIP") or "")

    def _forget(self, key: str) -> None:
        pod = self._pods.pop(key)
        self._queue.forget(key)
        self._addresses.release(pod.addresses.pod)
        for log in pod.logs.values():
            log.close()


def _key(document: Document) -> str:
    return f"{document['metadata']['namespace']}/{document['metadata']['name']}"


def _path(document: Document) -> str:
    metadata = document["metadata"]
    return path("api", "v1", "namespaces", metadata["namespace"], "pods", metadata["name"])
