"""Comparing all objects of a bundle, or of one of its stages, with few requests."""

from collections.abc import Sequence

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.comparing.comparer import Comparer
from pilothouse.clients.cluster.comparing.comparison import Comparison
from pilothouse.clients.cluster.comparing.objects import Objects, Placed, Sight
from pilothouse.clients.cluster.comparing.refusals import refused
from pilothouse.clients.cluster.comparing.snapshot import Kind, Sighting, Snapshot, by_kind
from pilothouse.clients.cluster.parallel import in_parallel
from pilothouse.gitops.inventory import ObjectKey, key_of
from pilothouse.models.objects import Manifest

_KINDS_AT_ONCE = 2
"""Lists that are worked on side by side: each holds a page of live objects in memory."""


class Survey:
    """Looks at objects by kind and compares each page while it is at hand."""

    def __init__(self, objects: Objects, snapshot: Snapshot, comparer: Comparer) -> None:
        self._objects = objects
        self._snapshot = snapshot
        self._comparer = comparer

    async def compare(self, manifests: Sequence[Manifest]) -> list[Comparison]:
        """Compare every object with the live one, in the order of the manifests; nothing written.

        Raises:
            Unavailable: the server does not answer.
        """
        found: dict[ObjectKey, Comparison] = {}

        async def keep(sighting: Sighting) -> None:
            found[key_of(sighting.placed.ref)] = await self._comparer.compare(sighting)

        async def look(kind: Kind) -> None:
            async for page in self._snapshot.sightings(kind):
                await in_parallel(keep, page)

        placed = [await self._placed(manifest) for manifest in manifests]
        served = [one for one in placed if isinstance(one, Placed)]
        await in_parallel(look, by_kind(served), _KINDS_AT_ONCE)
        unserved = [Sighting(one, Sight.ABSENT) for one in served if one.resource is None]
        await in_parallel(keep, unserved)
        return [found[key_of(one.ref)] if isinstance(one, Placed) else one for one in placed]

    async def _placed(self, manifest: Manifest) -> Placed | Comparison:
        """Where an object goes to, or why it cannot go anywhere."""
        try:
            placed = await self._objects.place(manifest)
            if placed.resource is not None:
                placed.resource.item(placed.ref.namespace, placed.ref.name)
        except Refusal as refusal:
            problem = refused(manifest, manifest.ref, refusal)
            return Comparison(manifest, manifest.ref, "change", findings=(problem,))
        return placed
