"""Looking at the live objects of a bundle with few requests: a list for each kind and namespace."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import Final, NamedTuple

from pydantic import JsonValue

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.comparing.objects import Placed, Sight
from pilothouse.clients.cluster.resources import Resource
from pilothouse.clients.cluster.transport import Transport
from pilothouse.gitops.health.fields import LiveObject, mapping, number, objects, text
from pilothouse.models.names import OWNER_LABEL

_LIST_FROM: Final = 3
_LIST_FROM_OF_CLUSTER: Final = 20
"""Objects of one kind from which on a list is cheaper than a read of each. Cluster-scoped kinds
hold mostly strangers: roles of the system, definitions of half a megabyte."""
_STRANGERS: Final = 4
"""A collection that is so many times larger than our part of it is listed by our label only."""


class Sighting(NamedTuple):
    """One object of Git, and what a list showed of it."""

    placed: Placed
    sight: Sight | None = None
    """None: the list does not tell, so read it."""
    live: dict[str, JsonValue] | None = None


class Kind(NamedTuple):
    """The objects of one kind in one namespace."""

    resource: Resource
    members: list[Placed]


def by_kind(placed: Sequence[Placed]) -> list[Kind]:
    """Group objects that one list could show; those of kinds that are not served are left out."""
    served = [(one.resource, one) for one in placed if one.resource is not None]
    served.sort(key=lambda pair: (pair[0], pair[1].ref.namespace))
    groups = groupby(served, key=lambda pair: (pair[0], pair[1].ref.namespace))
    return [Kind(resource, [one for _, one in group]) for (resource, _), group in groups]


class Snapshot:
    """Reads live objects as the API server has them, `managedFields` included."""

    def __init__(self, transport: Transport, inventory: str) -> None:
        self._transport = transport
        self._label = f"{OWNER_LABEL}={inventory}"

    async def sightings(self, kind: Kind) -> AsyncIterator[list[Sighting]]:
        """Every object of a group once, a page at a time: hold a page, let it go, ask for more.

        Raises:
            Unavailable: the server does not answer.
        """
        least = _LIST_FROM if kind.resource.namespaced else _LIST_FROM_OF_CLUSTER
        if len(kind.members) < least:
            yield [Sighting(placed) for placed in kind.members]
            return
        missing = {placed.ref.name: placed for placed in kind.members}
        rest: Sight | None = Sight.ABSENT
        try:
            async for page, whole in self._pages(kind):
                rest = Sight.ABSENT if whole else None
                seen = [Sighting(missing.pop(n), Sight.READ, o) for n, o in page if n in missing]
                yield seen
        except Refusal as refusal:
            # Without the right to list there may still be one to get.
            if not refusal.is_denied and refusal.code != 404:
                raise
            rest = None
        yield [Sighting(placed, rest) for placed in missing.values()]

    async def _pages(
        self, kind: Kind
    ) -> AsyncIterator[tuple[list[tuple[str, dict[str, JsonValue]]], bool]]:
        """Pages of (name, object), and whether all of them together show the whole collection."""
        path = kind.resource.collection(kind.members[0].ref.namespace)
        version, name = kind.members[0].ref.api_version, kind.members[0].ref.kind

        def shown(page: LiveObject) -> list[tuple[str, dict[str, JsonValue]]]:
            items = [_typed(item, version, name) for item in objects(page, "items")]
            return [(text(item, "metadata", "name"), item) for item in items]

        async with aclosing(self._transport.pages(path)) as pages:
            async for page in pages:
                left = number(page, "metadata", "remainingItemCount")
                if left > _STRANGERS * len(kind.members):
                    break
                yield shown(page), True
            else:
                return
        async for page in self._transport.pages(path, {"labelSelector": self._label}):
            yield shown(page), False


def _typed(item: LiveObject, api_version: str, kind: str) -> dict[str, JsonValue]:
    """Items of a list do not say their kind."""
    return {"apiVersion": api_version, "kind": kind, **mapping(item)}
