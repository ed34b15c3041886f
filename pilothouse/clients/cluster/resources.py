"""Where a kind lives in the API: its path, learned from the server's own discovery."""

import asyncio
import re
from typing import Final, NamedTuple
from urllib.parse import quote

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.transport import Transport
from pilothouse.gitops.health.fields import flag, objects, text
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import ObjectRef

_INVENTORY: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME: Final = re.compile(r"[^/%\x00-\x1f\x7f]{1,253}")


class Resource(NamedTuple):
    """One kind, as the server serves it."""

    root: str
    """`/api/v1` or `/apis/<group>/<version>`."""
    plural: str
    namespaced: bool
    has_status: bool
    """Whether it has a status subresource, so that a controller may report there."""

    def collection(self, namespace: str) -> str:
        """Path of all objects in a namespace; of all, for a cluster-scoped kind."""
        if not self.namespaced:
            return f"{self.root}/{self.plural}"
        if not namespace:
            raise Refusal.local(f"an object of the namespaced {self.plural} names no namespace")
        # What comes from Git stays one step of the path, whatever it holds.
        return f"{self.root}/namespaces/{step(namespace)}/{self.plural}"

    def item(self, namespace: str, name: str) -> str:
        """Path of one object."""
        return f"{self.collection(namespace)}/{step(name)}"


class Resources:
    """The kinds of one cluster, looked up once per API version."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._known: dict[str, dict[str, Resource]] = {}
        self._lock = asyncio.Lock()

    async def find(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a kind; None if the cluster does not serve it.

        What is not found is looked up again at the next call: a CRD may have come since.

        Raises:
            Unavailable: discovery did not answer.
            Refusal: discovery is forbidden.
        """
        # One lookup at a time: eight objects of one new group would all ask the same.
        async with self._lock:
            if kind not in self._known.get(api_version, {}):
                self._known[api_version] = await self._discover(api_version)
            return self._known[api_version].get(kind)

    async def of(self, ref: ObjectRef) -> Resource:
        """The resource of an object's kind.

        Raises:
            Refusal: the cluster does not serve this kind.
        """
        resource = await self.find(ref.api_version, ref.kind)
        if resource is None:
            raise Refusal.local(f"the cluster has no kind {ref.kind} in {ref.api_version}")
        return resource

    async def _discover(self, api_version: str) -> dict[str, Resource]:
        group, _, version = api_version.rpartition("/")
        root = f"/apis/{step(group)}/{step(version)}" if group else f"/api/{step(version)}"
        try:
            answer = await self._transport.json("GET", root, seconds=15)
        except Refusal as refusal:
            if refusal.code == 404:
                return {}
            raise
        listed = objects(answer, "resources")
        names = {text(item, "name") for item in listed}
        return {
            text(item, "kind"): Resource(
                root=root,
                plural=text(item, "name"),
                namespaced=flag(item, "namespaced"),
                has_status=f"{text(item, 'name')}/status" in names,
            )
            for item in listed
            # Subresources are listed too, and `scale` would shadow a kind of the same name.
            if "/" not in text(item, "name")
        }


def step(outside: str) -> str:
    """Make something from outside one step of a URL's path, whatever it holds.

    Raises:
        Refusal: Kubernetes allows no such name. Sent, some would be taken for directions, and to
            some the server answers 500, as if it were worth a retry.
    """
    if outside in {".", ".."} or not _NAME.fullmatch(outside):
        raise Refusal.local(f"{outside!r} is no name")
    return quote(outside, safe="")


def checked_namespace(name: str) -> str:
    """A namespace's name from outside, which becomes a step of paths.

    Raises:
        PermanentError: `InvalidRequest`.
    """
    if not _NAMESPACE.fullmatch(name):
        raise PermanentError("InvalidRequest", f"{name!r} is not the name of a namespace")
    return name


def checked_inventory(name: str) -> str:
    """An inventory's name from outside, which becomes a step of paths and the value of a label.

    Raises:
        PermanentError: `InvalidRequest`.
    """
    if not _INVENTORY.fullmatch(name):
        raise PermanentError(
            "InvalidRequest",
            f"{name!r} cannot name an inventory: use at most 63 of a-z, 0-9, '-' and '.'",
        )
    return name
