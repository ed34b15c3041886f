"""Deleting one object by its identity, and looking until it is really gone."""

import asyncio
from typing import Final, Literal

from pilothouse.clients.cluster.answers import Refusal, Unavailable
from pilothouse.clients.cluster.comparing.objects import Objects, Sight
from pilothouse.clients.cluster.resources import Resource
from pilothouse.clients.cluster.transport import METADATA, Transport
from pilothouse.gitops.health.fields import at, text
from pilothouse.models.objects import ObjectRef

_LOOK_SECONDS: Final = 0.5

Propagation = Literal["Background", "Foreground"]
"""Whether what an object owns goes after it, or before it."""


class Deleter:
    """Deletes objects, never another one of the same name."""

    def __init__(self, transport: Transport, objects: Objects) -> None:
        self._transport = transport
        self._objects = objects

    async def delete(
        self, resource: Resource, ref: ObjectRef, uid: str, propagation: Propagation
    ) -> None:
        """Ask for the delete of the object with this uid. Idempotent.

        Raises:
            Refusal: it may not be deleted.
            Unavailable: the server cannot be reached; nothing was sent.
        """
        try:
            await self._transport.json(
                "DELETE",
                resource.item(ref.namespace, ref.name),
                body={
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": {"uid": uid},
                    "propagationPolicy": propagation,
                },
            )
        except Refusal as refusal:
            # 404: gone already; 409: another object of the same name stands there now.
            if refusal.code not in {404, 409}:
                raise
        except Unavailable as lost:
            # What is lost is looked after like what was answered.
            if not lost.sent:
                raise

    async def remains(self, resource: Resource, ref: ObjectRef, uid: str, seconds: float) -> str:
        """Look until it is gone: an accepted delete may wait for finalizers, or for ever.

        Returns:
            Empty if it is gone, else what is known about why it is not.
        """
        for look in range(max(1, round(seconds / _LOOK_SECONDS))):
            if look:
                await asyncio.sleep(_LOOK_SECONDS)
            sight, live = await self._objects.read(resource, ref, METADATA)
            if sight is Sight.ABSENT or text(live, "metadata", "uid") != uid:
                return ""
        finalizers = at(live, "metadata", "finalizers")
        waits = ", ".join(map(str, finalizers)) if isinstance(finalizers, list) else ""
        return f"the delete is not confirmed{'; it waits for ' + waits if waits else ''}"
