"""Writing one object, and saying what really happened to it."""

from collections.abc import Callable
from typing import Final

from pilothouse.clients.cluster.answers import Refusal, Unavailable
from pilothouse.clients.cluster.applying.deleting import Deleter
from pilothouse.clients.cluster.applying.inventories import Fence
from pilothouse.clients.cluster.comparing import refusals, takeover
from pilothouse.clients.cluster.comparing.comparer import Comparer
from pilothouse.clients.cluster.comparing.comparison import Comparison
from pilothouse.clients.cluster.comparing.objects import Objects, Placed, Sight
from pilothouse.clients.cluster.comparing.snapshot import Sighting
from pilothouse.clients.cluster.resources import Resource
from pilothouse.clients.cluster.transport import JSON_PATCH, METADATA, Transport
from pilothouse.models.names import FIELD_MANAGER
from pilothouse.models.objects import ObjectRef, ObjectResult

_GONE_SECONDS: Final = 60.0
"""How long the old object of a recreation may take to go."""


class Writer:
    """Applies what a comparison found different, while the fence holds."""

    def __init__(
        self,
        transport: Transport,
        objects: Objects,
        comparer: Comparer,
        deleter: Deleter,
        fence: Fence,
    ) -> None:
        self._transport = transport
        self._objects = objects
        self._comparer = comparer
        self._deleter = deleter
        self._fence = fence

    async def write(self, comparison: Comparison, beat: Callable[[str], None]) -> ObjectResult:
        """Apply one object, and say what the server's own answer shows.

        An answer that got lost is read back, and the write repeated once if it had no effect.
        Idempotent.

        Raises:
            PermanentError: `Fenced`.
            Unavailable: the server cannot be reached; nothing was sent.
        """
        if comparison.action == "recreate":
            return await self._recreate(comparison, beat)
        for _ in range(2):
            try:
                return await self._written(comparison)
            except Unavailable as lost:
                if not lost.sent:
                    raise
            try:
                again = await self._comparer.compare(_unseen(comparison))
            except Unavailable as lost:
                return _unknown(comparison.ref, str(lost))
            if again.refused:
                return refused(again)
            if again.action == "unchanged":
                result = _outcome(comparison, again.version, created=not comparison.version)
                return result.model_copy(update={"message": "read back after a lost answer"})
            comparison = again
        return _unknown(comparison.ref, "the server did not answer, twice")

    async def _written(self, comparison: Comparison) -> ObjectResult:
        resource = comparison.resource
        if resource is None:
            return _refused(comparison.ref, "the cluster does not serve its kind")
        await self._fence.hold()
        try:
            if comparison.live is not None:
                await self._transport.json(
                    "PATCH",
                    resource.item(comparison.ref.namespace, comparison.ref.name),
                    query={"fieldManager": FIELD_MANAGER},
                    body=takeover.patch(comparison.live),
                    content_type=JSON_PATCH,
                    accept=METADATA,
                )
            applied = await self._objects.apply(
                comparison.ref,
                resource,
                comparison.body or self._objects.labelled(_placed(comparison)),
                accept=METADATA,
                dry_run=False,
                force=comparison.force,
            )
        except Refusal as refusal:
            if refusal.code == 409 and not refusals.conflicts(refusal):
                words = f"{comparison.ref} was changed by somebody else at the same time"
                raise Unavailable(words, sent=True) from refusal
            found = refusals.refused(comparison.manifest, comparison.ref, refusal)
            return _refused(comparison.ref, found.message)
        return _outcome(comparison, applied.version, created=applied.created)

    async def _recreate(self, comparison: Comparison, beat: Callable[[str], None]) -> ObjectResult:
        """Delete the old object, wait until it is gone, rehearse again, create.

        What ends in between ends with a missing object, which the next apply creates.
        """
        resource, ref = comparison.resource, comparison.ref
        if resource is None:
            return _refused(ref, "the cluster does not serve its kind")
        await self._fence.hold()
        try:
            beat(f"{ref}: deleting it to make it anew")
            await self._deleter.delete(resource, ref, comparison.uid, "Foreground")
            remains = await self._deleter.remains(resource, ref, comparison.uid, _GONE_SECONDS)
        except Refusal as refusal:
            found = refusals.refused(comparison.manifest, ref, refusal)
            return _refused(ref, f"it cannot be deleted to make it anew: {found.message}")
        if remains:
            return _unknown(ref, f"it is to be made anew, but {remains}")
        return await self._made_anew(comparison, resource, beat)

    async def _made_anew(
        self, comparison: Comparison, resource: Resource, beat: Callable[[str], None]
    ) -> ObjectResult:
        ref = comparison.ref
        placed = Placed(comparison.manifest, ref, resource)
        again = await self._comparer.compare(Sighting(placed, Sight.ABSENT))
        if again.refused:
            problem = refused(again)
            words = f"the old one was deleted, and the new one is refused: {problem.message}"
            return _refused(ref, words)
        result = await self.write(again, beat)
        made = result.result in {"created", "configured"}
        return result.model_copy(update={"result": "recreated"}) if made else result


def refused(found: Comparison) -> ObjectResult:
    """The result of an object that the server would not take."""
    words = "; ".join(item.message for item in found.findings if item.severity == "error")
    return _refused(found.ref, words)


def _unseen(comparison: Comparison) -> Sighting:
    return Sighting(_placed(comparison))


def _placed(comparison: Comparison) -> Placed:
    return Placed(comparison.manifest, comparison.ref, comparison.resource)


def _outcome(comparison: Comparison, version: str, *, created: bool) -> ObjectResult:
    if created:
        return ObjectResult(object=comparison.ref, result="created")
    changed = version != comparison.version
    return ObjectResult(object=comparison.ref, result="configured" if changed else "unchanged")


def _refused(ref: ObjectRef, message: str) -> ObjectResult:
    return ObjectResult(object=ref, result="refused", message=message)


def _unknown(ref: ObjectRef, message: str) -> ObjectResult:
    return ObjectResult(object=ref, result="unknown", message=message)
