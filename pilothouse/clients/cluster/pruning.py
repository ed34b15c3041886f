"""Deleting what left Git: ours only, by identity, last applied first; never taken for granted."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

from pilothouse.clients.cluster.answers import Refusal, Unavailable
from pilothouse.clients.cluster.objects import Objects, Sight
from pilothouse.clients.cluster.parallel import in_parallel
from pilothouse.clients.cluster.resources import Resource, Resources
from pilothouse.clients.cluster.transport import METADATA, Transport
from pilothouse.gitops.diagnosis.text import quote
from pilothouse.gitops.health.fields import LiveObject, at, text
from pilothouse.models.names import OWNER_LABEL
from pilothouse.models.objects import ObjectRef, ObjectResult

KEEP_ANNOTATION: Final = "pilothouse.dev/prune"
"""`disabled` on a live object: it stays when it leaves Git."""
_LOOKS: Final = 10
_LOOK_SECONDS: Final = 0.5
"""How often and how long apart a delete is looked after; finalizers may take longer."""


class Pruner:
    """Deletes objects of one inventory."""

    def __init__(
        self, transport: Transport, resources: Resources, objects: Objects, inventory: str
    ) -> None:
        self._transport = transport
        self._resources = resources
        self._objects = objects
        self._inventory = inventory

    async def prune(
        self, refs: Sequence[ObjectRef], beat: Callable[[str], None]
    ) -> list[ObjectResult]:
        """Delete these objects in their order, those of one kind side by side. Idempotent.

        Returns:
            One result an object: `deleted`, or `kept` with the reason.

        Raises:
            TemporaryError: `ClusterUnavailable`; what was deleted so far stays in the inventory
                and is found gone at the next attempt.
        """
        results: list[ObjectResult] = []
        for kind, group in groupby(refs, key=lambda ref: (ref.group, ref.kind)):
            beat(f"deleting {kind[1]} objects that left Git")
            results += await in_parallel(self._delete, list(group))
        return results

    async def exists(self, ref: ObjectRef) -> bool:
        """Whether a delete would find something; true if we may not look."""
        try:
            resource = await self._resources.find(ref.api_version, ref.kind)
            if resource is None:
                return False
            sight, _ = await self._objects.read(resource, ref, METADATA)
        except Refusal:
            return True
        return sight is not Sight.ABSENT

    async def _delete(self, ref: ObjectRef) -> ObjectResult:
        try:
            resource = await self._resources.find(ref.api_version, ref.kind)
            if resource is None:
                # Its CRD is gone, and every object of the kind with it.
                return ObjectResult(object=ref, result="deleted")
            sight, live = await self._objects.read(resource, ref, METADATA)
            if sight is Sight.ABSENT:
                return ObjectResult(object=ref, result="deleted")
            reason = self._reason_to_keep(ref, sight, live or {})
            if reason:
                return _kept(ref, reason)
            uid = text(live, "metadata", "uid")
            await self._send(resource, ref, uid)
            return await self._confirm(resource, ref, uid)
        except Refusal as refusal:
            return _kept(ref, quote(refusal.answer.message))

    def _reason_to_keep(self, ref: ObjectRef, sight: Sight, live: LiveObject) -> str:
        if (ref.group, ref.kind, ref.name) == ("", "Namespace", self._objects.namespace):
            return "it is the environment's own, and everything stands in it: delete it by hand"
        if sight is Sight.DENIED:
            return "it may not be read, so whose it is cannot be checked: delete it by hand"
        if text(live, "metadata", "labels", OWNER_LABEL) != self._inventory:
            return f"it does not carry {OWNER_LABEL}: {self._inventory} any more"
        if text(live, "metadata", "annotations", KEEP_ANNOTATION) == "disabled":
            return f"its annotation {KEEP_ANNOTATION} says so"
        return ""

    async def _send(self, resource: Resource, ref: ObjectRef, uid: str) -> None:
        try:
            await self._transport.json(
                "DELETE",
                resource.item(ref.namespace, ref.name),
                body={
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": {"uid": uid},
                    "propagationPolicy": "Background",
                },
            )
        except Refusal as refusal:
            # 404: gone already; 409: another object of the same name stands there now.
            if refusal.code not in {404, 409}:
                raise
        except Unavailable as lost:
            if not lost.sent:
                raise

    async def _confirm(self, resource: Resource, ref: ObjectRef, uid: str) -> ObjectResult:
        """Look until it is gone: an accepted delete may wait for finalizers, or for ever."""
        live: LiveObject = {}
        for look in range(_LOOKS):
            if look:
                await asyncio.sleep(_LOOK_SECONDS)
            sight, found = await self._objects.read(resource, ref, METADATA)
            live = found or {}
            if sight is Sight.ABSENT or text(live, "metadata", "uid") != uid:
                return ObjectResult(object=ref, result="deleted")
        finalizers = at(live, "metadata", "finalizers")
        waits = ", ".join(map(str, finalizers)) if isinstance(finalizers, list) else ""
        return _kept(
            ref, f"the delete is not confirmed{'; it waits for ' + waits if waits else ''}"
        )


def _kept(ref: ObjectRef, message: str) -> ObjectResult:
    return ObjectResult(object=ref, result="kept", message=message)
