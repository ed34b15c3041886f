"""Events about simulated things: counted, aggregated, and never more than the server can take."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus

import structlog

from pilothouse.local.nodes.api import ClusterApi, RefusedError, path
from pilothouse.local.nodes.pods.documents import Document, timestamp
from pilothouse.local.nodes.pods.effects import PodEvent
from pilothouse.models.errors import TemporaryError

_log = structlog.get_logger()

COMPONENT = "simulated-kubelet"
PER_SECOND = 50
"""The most that is written. Warnings go first: a rollout's normal events may wait, they may not."""
MAX_WAITING = 2000
"""Of each type; what comes on top is dropped, but counted when the same is seen again."""
MAX_KNOWN = 5000
_RETRY_SECONDS = 1.0


@dataclass
class _Record:
    """One event object: the same fact about the same object, however often it was seen."""

    name: str
    event: PodEvent
    about: Document
    first_at: float
    last_at: float
    count: int = 0
    written: bool = False
    waiting: bool = field(default=False, repr=False)


class EventRecorder:
    """Writes events in the background. `record` never waits; `run` does the writing."""

    def __init__(self, api: ClusterApi) -> None:
        self._api = api
        self._known: OrderedDict[str, _Record] = OrderedDict()
        self._warnings: deque[_Record] = deque()
        self._normal: deque[_Record] = deque()
        self._arrived = asyncio.Event()
        self.dropped = 0
        """How many were not written because too many waited."""

    def record(self, about: Document, event: PodEvent, now: float) -> None:
        """Count one occurrence, and have its event object written soon.

        Args:
            about: the object; a Pod, unless it says its kind (items of a list do not).
            event: what happened.
            now: seconds since the epoch.
        """
        record = self._known_record(about, event, now)
        record.count += 1
        record.last_at = now
        self._enqueue(record)

    async def run(self) -> None:
        """Write what waits, until cancelled."""
        while True:
            await self._arrived.wait()
            while self._warnings or self._normal:
                record = (self._warnings or self._normal).popleft()
                record.waiting = False
                try:
                    await self._write(record)
                except TemporaryError as error:
                    _log.info("events wait for the API server", error=str(error))
                    self._enqueue(record)
                    await asyncio.sleep(_RETRY_SECONDS)
                await asyncio.sleep(1 / PER_SECOND)
            self._arrived.clear()

    def _enqueue(self, record: _Record) -> None:
        queue = self._normal if record.event.type == "Normal" else self._warnings
        if record.waiting:
            return
        if len(queue) >= MAX_WAITING:
            self.dropped += 1
            return
        record.waiting = True
        queue.append(record)
        self._arrived.set()

    def _known_record(self, about: Document, event: PodEvent, now: float) -> _Record:
        uid = about["metadata"]["uid"]
        identity = "\0".join((uid, event.type, event.reason, event.field_path, event.message))
        key = sha256(identity.encode()).hexdigest()
        if key not in self._known:
            # A name of our own making: a restarted simulator counts on in the same object.
            name = f"{about['metadata']['name'][:230].rstrip('-.')}.{key[:16]}"
            self._known[key] = _Record(name, event, about, now, now)
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    async def _write(self, record: _Record) -> None:
        namespace = record.about["metadata"]["namespace"]
        where = path("api", "v1", "namespaces", namespace, "events")
        try:
            if record.written:
                change = {"count": record.count, "lastTimestamp": timestamp(record.last_at)}
                await self._api.patch(f"{where}/{record.name}", change)
            else:
                await self._create(where, record)
        except RefusedError as error:
            # 404: the event or its namespace has expired. 403: the namespace is being deleted.
            record.written = False
            expected = error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}
            say = _log.debug if expected else _log.warning
            say("event not recorded", reason=record.event.reason, error=str(error))

    async def _create(self, where: str, record: _Record) -> None:
        try:
            await self._api.create(where, _document(record))
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            live = await self._api.get(f"{where}/{record.name}")
            record.count += live.get("count", 0)
            change = {"count": record.count, "lastTimestamp": timestamp(record.last_at)}
            await self._api.patch(f"{where}/{record.name}", change)
        record.written = True


def _document(record: _Record) -> Document:
    metadata, event = record.about["metadata"], record.event
    node = (record.about.get("spec") or {}).get("nodeName", "")
    regarding = {
        "apiVersion": record.about.get("apiVersion", "v1"),
        "kind": record.about.get("kind", "Pod"),
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
    }
    if event.field_path:
        regarding["fieldPath"] = event.field_path
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": record.name, "namespace": metadata["namespace"]},
        "involvedObject": regarding,
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:1024],
        "source": {"component": COMPONENT, "host": node},
        "reportingComponent": COMPONENT,
        "reportingInstance": node,
        "count": record.count,
        "firstTimestamp": timestamp(record.first_at),
        "lastTimestamp": timestamp(record.last_at),
    }
