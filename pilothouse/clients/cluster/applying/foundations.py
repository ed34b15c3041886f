"""Waiting for what later stages stand on: served definitions, active namespaces."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from pilothouse.clients.cluster.comparing.objects import Objects, Sight
from pilothouse.gitops.health import assess
from pilothouse.models.objects import ObjectRef, ObjectResult

_READY_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.5
_KINDS: Final = frozenset({
    ("", "Namespace"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
})


class Foundations:
    """Looks at the objects that others cannot be created without."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def stand(
        self, refs: Sequence[ObjectRef], beat: Callable[[str], None]
    ) -> list[ObjectResult]:
        """Wait, for a bounded time, until the foundations among these objects work.

        Returns:
            A result for each one that does not; none if all do.
        """
        waiting = [ref for ref in refs if (ref.group, ref.kind) in _KINDS]
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while waiting := [ref for ref in waiting if not await self._stands(ref)]:
                    beat(f"waiting for {waiting[0]}")
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            message = f"it does not work {_READY_SECONDS:.0f} seconds after it was applied"
            return [ObjectResult(object=ref, result="unknown", message=message) for ref in waiting]
        return []

    async def _stands(self, ref: ObjectRef) -> bool:
        sight, live = await self._objects.look(ref)
        if sight is Sight.DENIED:
            # What may be written but not read must be believed.
            return True
        if live is None or assess(live).status != "Healthy":
            return False
        return await self._objects.serves(live)
