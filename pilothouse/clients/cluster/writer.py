"""Writing one object, and saying what really happened to it."""

from pilothouse.clients.cluster import refusals, takeover
from pilothouse.clients.cluster.answers import Refusal, Unavailable
from pilothouse.clients.cluster.objects import Comparison, Objects
from pilothouse.clients.cluster.transport import JSON_PATCH, METADATA, Transport
from pilothouse.gitops.health.fields import text
from pilothouse.models.names import FIELD_MANAGER
from pilothouse.models.objects import ObjectRef, ObjectResult


class Writer:
    """Applies what a comparison found different."""

    def __init__(self, transport: Transport, objects: Objects) -> None:
        self._transport = transport
        self._objects = objects

    async def write(self, comparison: Comparison) -> ObjectResult:
        """Apply one object, and say what the server's own answer shows.

        An answer that got lost is read back, and the write repeated once if it had no effect.
        Idempotent.

        Raises:
            Unavailable: the server cannot be reached; nothing was sent.
        """
        for _ in range(2):
            try:
                return await self._written(comparison)
            except Unavailable as lost:
                if not lost.sent:
                    raise
            try:
                again = await self._objects.compare(comparison.manifest)
            except Unavailable as lost:
                return _unknown(comparison.ref, str(lost))
            if again.action == "unchanged":
                result = _outcome(comparison, text(again.live, "metadata", "resourceVersion"))
                return result.model_copy(update={"message": "read back after a lost answer"})
            comparison = again
        return _unknown(comparison.ref, "the server did not answer, twice")

    async def _written(self, comparison: Comparison) -> ObjectResult:
        resource = comparison.resource
        if resource is None:
            return _refused(comparison.ref, "the cluster does not serve its kind")
        path = resource.item(comparison.ref.namespace, comparison.ref.name)
        try:
            if comparison.live is not None and takeover.is_needed(comparison.live):
                await self._transport.json(
                    "PATCH",
                    path,
                    query={"fieldManager": FIELD_MANAGER},
                    body=takeover.patch(comparison.live),
                    content_type=JSON_PATCH,
                    accept=METADATA,
                )
            # What may not be read cannot be handed over field by field: there it is taken by force.
            force = comparison.conflict and comparison.live is None
            answer = await self._objects.apply(
                comparison, path, METADATA, dry_run=False, force=force
            )
        except Refusal as refusal:
            if refusal.code == 409 and not refusals.conflicts(refusal):
                words = f"{comparison.ref} was changed by somebody else at the same time"
                raise Unavailable(words, sent=True) from refusal
            found = refusals.refused(comparison.manifest, comparison.ref, refusal)
            return _refused(comparison.ref, found.message)
        return _outcome(comparison, text(answer, "metadata", "resourceVersion"))


def _outcome(comparison: Comparison, version: str) -> ObjectResult:
    if not comparison.version:
        return ObjectResult(object=comparison.ref, result="created")
    changed = version != comparison.version
    return ObjectResult(object=comparison.ref, result="configured" if changed else "unchanged")


def _refused(ref: ObjectRef, message: str) -> ObjectResult:
    return ObjectResult(object=ref, result="refused", message=message)


def _unknown(ref: ObjectRef, message: str) -> ObjectResult:
    return ObjectResult(object=ref, result="unknown", message=message)
