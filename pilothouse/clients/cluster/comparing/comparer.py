"""One object of Git beside the live one: what an apply would do to it, and whether it may."""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.comparing import refusals, takeover
from pilothouse.clients.cluster.comparing.comparison import Comparison, Rules
from pilothouse.clients.cluster.comparing.objects import Applied, Objects, Placed, Sight
from pilothouse.clients.cluster.comparing.snapshot import Sighting
from pilothouse.clients.cluster.resources import Resource
from pilothouse.clients.cluster.transport import JSON, METADATA
from pilothouse.gitops.health.fields import mapping, text
from pilothouse.gitops.inventory import key_of, run_digest
from pilothouse.gitops.managed_fields import is_settled
from pilothouse.gitops.opt_outs import OptOuts, opt_outs
from pilothouse.gitops.plan import changed_fields, describe, without_ignored
from pilothouse.models.objects import Action, ObjectChange, ObjectRef

_PRECIOUS: Final = frozenset({
    ("", "Namespace"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
})
"""Kinds that take data with them: only the object's own annotation lets them be recreated."""


class _Moved(Exception):
    """The live object changed between the look and the rehearsal."""


class Comparer:
    """Compares objects of one bundle."""

    def __init__(self, objects: Objects, rules: Rules) -> None:
        self._objects = objects
        self._rules = rules

    async def compare(self, sighting: Sighting) -> Comparison:
        """Find out what an apply would do to one object; nothing is written.

        The server is asked only where what was sighted does not already tell.

        Raises:
            Unavailable: the server does not answer.
        """
        placed = sighting.placed
        found = Comparison(placed.manifest, placed.ref, "create", resource=placed.resource)
        problems = refusals.of_manifest(placed.manifest, placed.ref)
        if problems:
            return found._replace(action="change", findings=problems)
        wishes = opt_outs(placed.manifest.body)
        if wishes.apply == "disabled":
            return found._replace(action="unchanged", skipped="its annotation leaves it alone")
        if placed.resource is None:
            return found._replace(findings=(refusals.of_unknown_kind(self._objects, placed),))
        try:
            return await self._beside_live(found, placed.resource, sighting, wishes)
        except Refusal as refusal:
            if refusal.code == 404 and self._objects.brings_namespace(placed.ref):
                note = refusals.note(placed, "its namespace comes with this bundle")
                return found._replace(findings=(note,), change=self._create(found))
            conflict = bool(refusals.conflicts(refusal))
            problem = refusals.refused(placed.manifest, placed.ref, refusal)
            return found._replace(action="change", findings=(problem,), force=conflict)

    async def _beside_live(
        self, found: Comparison, resource: Resource, sighting: Sighting, wishes: OptOuts
    ) -> Comparison:
        """Compare one look at the live object with the rehearsal of an apply to that very look.

        A controller may write between the two: then the difference would be its, so look again.
        """
        sight, live = sighting.sight, sighting.live
        for last in (False, False, True):
            if sight is None:
                sight, live = await self._objects.read(resource, found.ref)
            try:
                if sight is Sight.DENIED:
                    return await self._unseen(found, resource, wishes)
                if live is None:
                    return await self._absent(found, resource)
                return await self._present(found, resource, live, wishes, last=last)
            except _Moved:
                sight = None
        raise AssertionError("the last look is taken as it is")

    async def _present(
        self,
        found: Comparison,
        resource: Resource,
        live: dict[str, JsonValue],
        wishes: OptOuts,
        *,
        last: bool,
    ) -> Comparison:
        version, uid = text(live, "metadata", "resourceVersion"), text(live, "metadata", "uid")
        found = found._replace(version=version, uid=uid, seen=True)
        if wishes.apply == "if-absent":
            return found._replace(action="unchanged", skipped="it is there, and kept as it is")
        labelled = self._objects.labelled(_placed(found))
        body = without_ignored(labelled, live, found.ref, self._rules.ignore)
        found = found._replace(body=body)
        losers = takeover.managers(live)
        kept = live if losers else None
        met = self._rules.met.get(key_of(found.ref))
        if met and met.version == version and met.action in {"change", "unchanged"}:
            return found._replace(action=met.action, force=met.force, live=kept, checked=True)
        if not losers and is_settled(body, live):
            return found._replace(action="unchanged", checked=True)
        try:
            applied, held = await self._rehearse(found, resource, wishes, JSON)
        except Refusal as refusal:
            return await self._recreate(found, resource, live, wishes, refusal)
        if applied.version != version and not last:
            raise _Moved
        wanted = takeover.outcome(live, applied.answer) if losers else applied.answer
        change = self._change("change", found, live, wanted, tuple(dict.fromkeys((*losers, *held))))
        fields = change.fields if change else changed_fields(live, wanted, self._rules.ignore)
        if not losers and not fields:
            return found._replace(action="unchanged", checked=True)
        # What kubectl holds is handed over before the write: that needs no force.
        force = any(name not in takeover.MANAGERS for name in held)
        return found._replace(action="change", change=change, live=kept, force=force, checked=True)

    async def _absent(self, found: Comparison, resource: Resource) -> Comparison:
        found = found._replace(seen=True)
        run = run_digest(found.manifest.body)
        if run and run in self._rules.done:
            return found._replace(action="unchanged", skipped="it ran, and was removed when done")
        met = self._rules.met.get(key_of(found.ref))
        if met and not met.version and met.action == "create":
            return found._replace(checked=True)
        applied = await self._objects.apply(
            found.ref,
            resource,
            self._objects.labelled(_placed(found)),
            accept=METADATA,
            dry_run=True,
            force=False,
        )
        if applied.version:
            raise _Moved
        return found._replace(change=self._create(found), checked=True)

    async def _unseen(self, found: Comparison, resource: Resource, wishes: OptOuts) -> Comparison:
        """What we may write but not read: the rehearsal's version tells whether it exists."""
        applied, held = await self._rehearse(found, resource, wishes, METADATA)
        if not applied.version:
            return found._replace(change=self._create(found), checked=True)
        found = found._replace(version=applied.version, checked=True)
        if wishes.apply == "if-absent":
            return found._replace(action="unchanged", skipped="it is there, and kept as it is")
        message = f"a {found.ref.kind} may not be read here: it is planned as a change"
        note = refusals.finding(found.manifest, found.ref, message, "info")
        change = ObjectChange(
            action="change", object=found.ref, file=found.manifest.file, line=found.manifest.line
        )
        return found._replace(action="change", change=change, findings=(note,), force=bool(held))

    async def _rehearse(
        self, found: Comparison, resource: Resource, wishes: OptOuts, accept: str
    ) -> tuple[Applied, tuple[str, ...]]:
        """What the object would be after an apply, and who holds fields that this takes by force.

        Taken is only what a person's `kubectl` holds, and what the object's annotation or, without
        one, the environment says.
        """
        body = found.body or self._objects.labelled(_placed(found))

        async def ask(*, force: bool) -> Applied:
            return await self._objects.apply(
                found.ref, resource, body, accept=accept, dry_run=True, force=force
            )

        try:
            return await ask(force=False), ()
        except Refusal as refusal:
            held = refusals.managers(refusal)
            wanted = self._rules.take_back if wishes.force is None else wishes.force
            forced = wanted and bool(held)
            if not forced and not refusals.may_take_over(refusal):
                raise
        return await ask(force=True), held

    async def _recreate(
        self,
        found: Comparison,
        resource: Resource,
        live: dict[str, JsonValue],
        wishes: OptOuts,
        refusal: Refusal,
    ) -> Comparison:
        """A refused change that a new object in the old one's place could make."""
        if not refusals.is_immutable(refusal):
            raise refusal
        if not self._may_recreate(found.ref, live, wishes):
            problem = refusals.immutable(found.manifest, found.ref, refusal)
            return found._replace(action="change", findings=(problem,))
        wanted = await self._as_new(found, resource)
        change = self._change("recreate", found, live, wanted)
        return found._replace(action="recreate", change=change, body=None)

    async def _as_new(self, found: Comparison, resource: Resource) -> dict[str, JsonValue] | None:
        """The object that would replace the present one, rehearsed under another name.

        Better refused now than when the old one is gone. A Service may hold an address that is
        taken as long as the old one is there: nobody can rehearse that.
        """
        if resource.plural == "services":
            return None
        body = self._objects.labelled(_placed(found))
        name = f"{found.ref.name[:40]}-rehearsal"
        body["metadata"] = {**mapping(body, "metadata"), "name": name}
        ref = found.ref.model_copy(update={"name": name})
        applied = await self._objects.apply(
            ref, resource, body, accept=JSON, dry_run=True, force=False
        )
        metadata = {**mapping(applied.answer, "metadata"), "name": found.ref.name}
        return {**applied.answer, "metadata": metadata}

    def _may_recreate(self, ref: ObjectRef, live: Mapping[str, JsonValue], wishes: OptOuts) -> bool:
        if wishes.recreate is not None:
            return wishes.recreate
        allowed = self._rules.recreate and (ref.group, ref.kind) not in _PRECIOUS
        return allowed and self._objects.owns(live)

    def _change(
        self,
        action: Action,
        found: Comparison,
        live: Mapping[str, JsonValue],
        wanted: Mapping[str, JsonValue] | None,
        losers: tuple[str, ...] = (),
    ) -> ObjectChange | None:
        if not self._rules.detail:
            return None
        return describe(
            action,
            found.ref,
            manifest=found.manifest,
            live=live,
            wanted=wanted,
            ignore=self._rules.ignore,
            takeover=losers,
        )

    def _create(self, found: Comparison) -> ObjectChange | None:
        if not self._rules.detail:
            return None
        return describe("create", found.ref, manifest=found.manifest)


def _placed(found: Comparison) -> Placed:
    return Placed(found.manifest, found.ref, found.resource)
