"""Looking at many live objects with few requests."""

from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from pydantic import JsonValue

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.comparing.objects import Sight
from pilothouse.clients.cluster.parallel import in_parallel
from pilothouse.clients.cluster.resources import Resource, Resources
from pilothouse.clients.cluster.transport import JSON, METADATA, METADATA_LIST, Transport
from pilothouse.gitops.health import needs_status
from pilothouse.gitops.health.fields import LiveObject, objects, text
from pilothouse.gitops.inventory import ObjectKey, key_of
from pilothouse.models.names import OWNER_LABEL
from pilothouse.models.objects import ObjectRef
from pilothouse.models.pipeline import HealthCheck

_LIST_FROM: Final = 3
"""Objects of one kind from which on one list is cheaper than a read of each."""


class Look(NamedTuple):
    """One object as it stands now."""

    ref: ObjectRef
    sight: Sight
    live: LiveObject | None = None


class Lister:
    """Reads live objects by kind."""

    def __init__(self, transport: Transport, resources: Resources) -> None:
        self._transport = transport
        self._resources = resources

    async def look(
        self, refs: Sequence[ObjectRef], namespace: str, checks: Sequence[HealthCheck] = ()
    ) -> list[Look]:
        """Look at each object once; references without a namespace mean `namespace`.

        Returns:
            One look an object, in no order. Of kinds that work by existing, metadata only.

        Raises:
            Unavailable: the server does not answer.
        """
        groups: list[list[ObjectRef]] = []
        looks: list[Look] = []
        ordered = sorted(refs, key=lambda ref: (ref.api_version, ref.kind, ref.namespace))
        for _, group in groupby(ordered, key=lambda ref: (ref.api_version, ref.kind)):
            found = list(group)
            resource = await self._resources.find(found[0].api_version, found[0].kind)
            if resource is None:
                looks += [Look(ref, Sight.ABSENT) for ref in found]
                continue
            home = namespace if resource.namespaced else ""
            placed = [_placed(ref, home) for ref in found]
            groups += [list(g) for _, g in groupby(placed, key=lambda ref: ref.namespace)]

        async def look_at_kind(kind: list[ObjectRef]) -> list[Look]:
            return await self._look_at_kind(kind, whole=needs_status(kind[0], checks))

        for group_looks in await in_parallel(look_at_kind, groups):
            looks += group_looks
        return looks

    async def pages(
        self, path: str, query: dict[str, str] | None = None, accept: str = JSON
    ) -> AsyncIterator[dict[str, JsonValue]]:
        """Every object of a collection, a page at a time from the server.

        Raises:
            Refusal: it may not be listed.
            Unavailable: no answer.
        """
        async for page in self._transport.pages(path, query, accept):
            for item in objects(page, "items"):
                yield dict(item)

    async def _look_at_kind(self, refs: list[ObjectRef], *, whole: bool) -> list[Look]:
        """Look at objects of one kind in one namespace: by list, then one by one for the rest."""
        resource = await self._resources.of(refs[0])
        found: dict[ObjectKey, Look] = {}
        if len(refs) >= _LIST_FROM:
            found = await self._listed(resource, refs, JSON if whole else METADATA_LIST)
        missing = [ref for ref in refs if key_of(ref) not in found]
        single = [await self._one(resource, ref, JSON if whole else METADATA) for ref in missing]
        return [*found.values(), *single]

    async def _listed(
        self, resource: Resource, refs: list[ObjectRef], accept: str
    ) -> dict[ObjectKey, Look]:
        wanted = {ref.name: ref for ref in refs}
        found: dict[ObjectKey, Look] = {}
        try:
            path = resource.collection(refs[0].namespace)
            async for item in self.pages(path, {"labelSelector": OWNER_LABEL}, accept):
                ref = wanted.get(text(item, "metadata", "name"))
                if ref is not None:
                    found[key_of(ref)] = Look(ref, Sight.READ, _typed(item, ref))
        except Refusal as refusal:
            # Without the right to list there may still be one to get.
            if not refusal.is_denied and refusal.code != 404:
                raise
        return found

    async def _one(self, resource: Resource, ref: ObjectRef, accept: str) -> Look:
        try:
            path = resource.item(ref.namespace, ref.name)
            live = await self._transport.json("GET", path, accept=accept, seconds=15)
        except Refusal as refusal:
            if refusal.code == 404:
                return Look(ref, Sight.ABSENT)
            if refusal.code == 403:
                return Look(ref, Sight.DENIED)
            raise
        return Look(ref, Sight.READ, _typed(live, ref))


def _placed(ref: ObjectRef, home: str) -> ObjectRef:
    namespace = (ref.namespace or home) if home else ""
    return ref.model_copy(update={"namespace": namespace})


def _typed(live: dict[str, JsonValue], ref: ObjectRef) -> LiveObject:
    """Items of a list do not say their kind, and metadata says another."""
    return {**live, "apiVersion": ref.api_version, "kind": ref.kind}
