"""Deleting what left Git: ours only, by identity, last applied first; never taken for granted."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.applying.deleting import Deleter
from pilothouse.clients.cluster.applying.inventories import Fence
from pilothouse.clients.cluster.comparing.objects import Objects, Sight
from pilothouse.clients.cluster.parallel import in_parallel
from pilothouse.clients.cluster.resources import Resource, Resources
from pilothouse.clients.cluster.transport import METADATA
from pilothouse.gitops.diagnosis.text import quote
from pilothouse.gitops.health.fields import LiveObject, text
from pilothouse.gitops.opt_outs import opt_outs
from pilothouse.models.names import OWNER_LABEL
from pilothouse.models.objects import ObjectRef, ObjectResult

_CONFIRM_SECONDS: Final = 5.0
"""How long a delete is looked after; finalizers may take longer."""


class Candidate(NamedTuple):
    """One object that left Git, as it stands now."""

    ref: ObjectRef
    resource: Resource | None = None
    """None: it is gone."""
    uid: str = ""
    reason: str = ""
    """Why it is kept; empty: it would be deleted."""

    @property
    def is_deleted(self) -> bool:
        """Whether a prune would delete something here."""
        return self.resource is not None and not self.reason


class Pruner:
    """Deletes objects of one inventory."""

    def __init__(self, resources: Resources, objects: Objects, deleter: Deleter) -> None:
        self._resources = resources
        self._objects = objects
        self._deleter = deleter

    async def judge(self, refs: Sequence[ObjectRef]) -> list[Candidate]:
        """Which of these objects a prune would delete, and why not the others; nothing written.

        Raises:
            Unavailable: the server does not answer.
        """
        return await in_parallel(self._judge, refs)

    async def prune(
        self, refs: Sequence[ObjectRef], fence: Fence, beat: Callable[[str], None]
    ) -> list[ObjectResult]:
        """Delete these objects in their order, those of one kind side by side. Idempotent.

        Returns:
            One result an object: `deleted`, or `kept` with the reason.

        Raises:
            PermanentError: `Fenced`.
            TemporaryError: `ClusterUnavailable`; what was deleted so far stays in the inventory
                and is found gone at the next attempt.
        """

        async def one(ref: ObjectRef) -> ObjectResult:
            return await self._prune(ref, fence)

        results: list[ObjectResult] = []
        for kind, group in groupby(refs, key=lambda ref: (ref.group, ref.kind)):
            beat(f"deleting {kind[1]} objects that left Git")
            results += await in_parallel(one, list(group))
        return results

    async def _judge(self, ref: ObjectRef) -> Candidate:
        try:
            resource = await self._resources.find(ref.api_version, ref.kind)
            if resource is None:
                # Its CRD is gone, and every object of the kind with it.
                return Candidate(ref)
            sight, live = await self._objects.read(resource, ref, METADATA)
        except Refusal as refusal:
            return Candidate(ref, reason=quote(refusal.answer.message))
        if sight is Sight.ABSENT:
            return Candidate(ref)
        uid = text(live, "metadata", "uid")
        return Candidate(ref, resource, uid, self._reason_to_keep(ref, sight, live or {}))

    async def _prune(self, ref: ObjectRef, fence: Fence) -> ObjectResult:
        found = await self._judge(ref)
        if found.reason:
            return _kept(ref, found.reason)
        if found.resource is None:
            return ObjectResult(object=ref, result="deleted")
        await fence.hold()
        try:
            await self._deleter.delete(found.resource, ref, found.uid, "Background")
            remains = await self._deleter.remains(found.resource, ref, found.uid, _CONFIRM_SECONDS)
        except Refusal as refusal:
            return _kept(ref, quote(refusal.answer.message))
        return _kept(ref, remains) if remains else ObjectResult(object=ref, result="deleted")

    def _reason_to_keep(self, ref: ObjectRef, sight: Sight, live: LiveObject) -> str:
        if (ref.group, ref.kind, ref.name) == ("", "Namespace", self._objects.namespace):
            return "it is the environment's own, and everything stands in it: delete it by hand"
        if sight is Sight.DENIED:
            return "it may not be read, so whose it is cannot be checked: delete it by hand"
        if not self._objects.owns(live):
            return f"it does not carry {OWNER_LABEL}: {self._objects.inventory} any more"
        if not opt_outs(live).prune:
            return "its annotation says so"
        return ""


def _kept(ref: ObjectRef, message: str) -> ObjectResult:
    return ObjectResult(object=ref, result="kept", message=message)
