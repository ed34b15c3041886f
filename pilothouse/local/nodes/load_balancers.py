"""Addresses that lead nowhere: what a cloud gives to load balancers, so that waiting for it ends.

A Service of type LoadBalancer gets an address of its own. Ingresses share one, as they do behind
one ingress controller; whatever class they name, no other controller can run on simulated nodes.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import structlog

from pilothouse.local.nodes.addresses import AddressPool
from pilothouse.local.nodes.api import ClusterApi, RefusedError, path
from pilothouse.local.nodes.clock import clock
from pilothouse.local.nodes.events import EventRecorder
from pilothouse.local.nodes.pods.documents import Document
from pilothouse.local.nodes.pods.effects import PodEvent
from pilothouse.local.nodes.registration import SIMULATED
from pilothouse.local.nodes.workqueue import WorkQueue
from pilothouse.models.errors import PermanentError, TemporaryError

_log = structlog.get_logger()

BALANCER_NETWORK = ipaddress.IPv4Network("203.0.113.0/24")
"""TEST-NET-3 of RFC 5737: reserved for documentation, so nothing is ever there."""
INGRESS_ADDRESS = str(BALANCER_NETWORK[1])
BALANCER_CLASS = SIMULATED
"""The one `loadBalancerClass` that is ours; a Service that names another waits for its owner."""

_RETRY_SECONDS = 2.0


class Addressing:
    """Which address each Service should have. Pure; remembers what it gave to whom."""

    def __init__(self) -> None:
        self._pool = AddressPool(BALANCER_NETWORK)
        self._pool.claim(INGRESS_ADDRESS)
        self._given: dict[str, str] = {}
        """uid -> address."""

    def remember(self, service: Document) -> None:
        """Leave a Service the address that an earlier simulator gave it."""
        if service["metadata"]["uid"] not in self._given and _in_network(address_of(service)):
            self.give(service)

    def give(self, service: Document) -> str:
        """The address of a Service: always the same one while it lives.

        Raises:
            TemporaryError: `ClusterUnavailable`, every address is in use.
        """
        uid, live = service["metadata"]["uid"], address_of(service)
        if uid not in self._given:
            self._given[uid] = self._pool.claim(live if _in_network(live) else "")
        return self._given[uid]

    def take_back(self, uid: str) -> None:
        """A Service is gone, or asks for no balancer any more. Idempotent."""
        address = self._given.pop(uid, None)
        if address is not None:
            self._pool.release(address)

    def held(self) -> frozenset[str]:
        """The uids of the Services that have an address."""
        return frozenset(self._given)


def is_ours(document: Document) -> bool:
    """Whether a Service or an Ingress is to get its address from us."""
    if "deletionTimestamp" in document["metadata"]:
        return False
    if document["kind"] == "Ingress":
        return True
    spec: Document = document["spec"]
    if spec.get("type") != "LoadBalancer":
        return False
    return bool(spec.get("loadBalancerClass", BALANCER_CLASS) == BALANCER_CLASS)


def address_of(document: Document) -> str:
    """The one address in the live status; empty if there is none, or not exactly one."""
    balancer = (document.get("status") or {}).get("loadBalancer") or {}
    entries: list[Document] = balancer.get("ingress") or []
    return str(entries[0].get("ip", "")) if len(entries) == 1 else ""


def _in_network(address: str) -> bool:
    return bool(address) and ipaddress.ip_address(address) in BALANCER_NETWORK


@dataclass(frozen=True)
class BalancedKind:
    """A kind whose objects get an address, and how to reach them."""

    name: str
    api_version: str
    plural: str
    selector: Mapping[str, str]
    """For its informer: only those that may be ours."""

    @property
    def collection(self) -> str:
        """Path of all of them, in every namespace."""
        return path(*self._root, self.plural)

    def status_path(self, document: Document) -> str:
        """Path of the status of one of them."""
        metadata = document["metadata"]
        place = ("namespaces", metadata["namespace"], self.plural, metadata["name"], "status")
        return path(*self._root, *place)

    @property
    def _root(self) -> tuple[str, ...]:
        return ("apis" if "/" in self.api_version else "api", *self.api_version.split("/"))


SERVICE = BalancedKind("Service", "v1", "services", {"fieldSelector": "spec.type=LoadBalancer"})
INGRESS = BalancedKind("Ingress", "networking.k8s.io/v1", "ingresses", {})


class LoadBalancers:
    """Writes an address into the status of each object of one kind. An informer's sink."""

    def __init__(self, api: ClusterApi, events: EventRecorder, kind: BalancedKind) -> None:
        self._api = api
        self._events = events
        self._kind = kind
        self._queue = WorkQueue()
        self._waiting: dict[str, Document] = {}
        """By uid: those whose status may lack its address."""
        self._addressing = Addressing()

    def replaced(self, objects: list[Document]) -> None:
        """Take the full list. Those that have an address keep it; nobody else is given it."""
        listed = {document["metadata"]["uid"] for document in objects}
        for uid in (self._addressing.held() | self._waiting.keys()) - listed:
            self._forget(uid)
        typed = [self._typed(document) for document in objects]
        if self._kind is SERVICE:
            for document in filter(is_ours, typed):
                self._addressing.remember(document)
        for document in typed:
            self._see(document)

    def changed(self, document: Document) -> None:
        """One is new or differs."""
        self._see(self._typed(document))

    def removed(self, document: Document) -> None:
        """One is gone, or is no load balancer any more."""
        self._forget(document["metadata"]["uid"])

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self._queue.serve(
                self._sync, retry_seconds=_RETRY_SECONDS, failure="no address given, trying again"
            )
        finally:
            self._queue.clear()

    def _see(self, document: Document) -> None:
        uid = document["metadata"]["uid"]
        if is_ours(document):
            self._waiting[uid] = document
            self._queue.add(uid)
        else:
            self._forget(uid)

    async def _sync(self, uid: str) -> None:
        document = self._waiting.pop(uid, None)
        if document is None:
            return
        try:
            wanted = INGRESS_ADDRESS if self._kind is INGRESS else self._addressing.give(document)
            if address_of(document) == wanted:
                return
            await self._write(document, wanted)
        except (TemporaryError, PermanentError) as error:
            if isinstance(error, RefusedError) and error.status == HTTPStatus.NOT_FOUND:
                self._forget(uid)
                return
            self._waiting.setdefault(uid, document)
            raise

    async def _write(self, document: Document, address: str) -> None:
        status = {"loadBalancer": {"ingress": [{"ip": address}]}}
        await self._api.patch(self._kind.status_path(document), {"status": status})
        message = f"Simulated load balancer: {address} is a documentation address, nothing answers"
        self._events.record(document, PodEvent("Normal", "EnsuredLoadBalancer", message), clock())

    def _forget(self, uid: str) -> None:
        self._waiting.pop(uid, None)
        self._addressing.take_back(uid)

    def _typed(self, document: Document) -> Document:
        # Items of a list do not say what they are.
        return {**document, "kind": self._kind.name, "apiVersion": self._kind.api_version}
