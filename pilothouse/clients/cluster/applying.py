"""One bundle into the cluster: claim, stage by stage, inventory, prune, record."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import structlog

from pilothouse.clients.cluster.inventories import InventoryStore
from pilothouse.clients.cluster.objects import Comparison, Objects, Sight
from pilothouse.clients.cluster.parallel import in_parallel
from pilothouse.clients.cluster.pruning import Pruner
from pilothouse.clients.cluster.writer import Writer
from pilothouse.gitops.health import assess
from pilothouse.gitops.inventory import Inventory, key_of
from pilothouse.gitops.manifests.order import stage_of
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import ApplyReport, Bundle, Manifest, ObjectRef, ObjectResult

log = structlog.get_logger()

_MAX_PROBLEMS: Final = 50
_READY_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.5
_FOUNDATIONS: Final = frozenset({"CustomResourceDefinition", "Namespace"})
"""Kinds that later stages stand on: the next stage waits until they work."""


class ApplyOrder(NamedTuple):
    """Who applies what, and on whose authority."""

    bundle: Bundle
    fencing: int
    operation: str
    revision: str
    prune: bool
    content: str
    """Address of the bundle in the content store; empty if it is not there."""


class Applier:
    """One apply of one bundle. Use once."""

    def __init__(
        self,
        order: ApplyOrder,
        store: InventoryStore,
        objects: Objects,
        writer: Writer,
        pruner: Pruner,
        beat: Callable[[str], None],
    ) -> None:
        self._order = order
        self._store = store
        self._objects = objects
        self._writer = writer
        self._pruner = pruner
        self._beat = beat
        self._results: list[ObjectResult] = []
        self._refs: list[ObjectRef] = []

    async def run(self) -> ApplyReport:
        """Apply, prune, record. Idempotent; safe to cancel and to repeat at any point.

        What may come to exist is in the stored inventory before it is written, so that whatever
        happens in between, the next apply knows what there is to prune. The one exception is the
        namespace of the environment itself, in which the inventory stands.

        Raises:
            PermanentError: `Fenced`, `ClusterRefused`.
            TemporaryError: `ClusterUnavailable`; a repetition goes on where this one stopped.
        """
        order = self._order
        await self._settle_in()
        before = await self._store.claim(
            fencing=order.fencing,
            operation=order.operation,
            environment=order.bundle.environment,
        )
        for _, stage in groupby(order.bundle.manifests, key=stage_of):
            if not await self._stage(before, list(stage)):
                return self._report("the cluster refused it; nothing was deleted")
        survivors = await self._prune(before)
        final = before.model_copy(
            update={
                "revision": order.revision,
                "plan": order.bundle.digest(),
                "bundle": order.content,
                "complete": True,
                # Survivors first: they are the oldest, and go last when all is deleted in reverse.
                "objects": (*survivors, *self._refs),
            }
        )
        await self._store.store(final)
        return self._report("")

    async def _settle_in(self) -> None:
        """Make the environment's namespace, if Git declares it and the cluster lacks it."""
        namespace = self._order.bundle.namespace
        for manifest in self._order.bundle.manifests:
            ref = manifest.ref
            if (ref.group, ref.kind, ref.name) != ("", "Namespace", namespace):
                continue
            found = await self._objects.compare(manifest)
            if found.action != "create" or found.refused:
                # What is refused is reported with the rest of its stage.
                return
            result = await self._write(found)
            if result.result == "refused":
                raise PermanentError(
                    "ClusterRefused", f"cannot create the namespace {namespace}: {result.message}"
                )
            await self._founded([found])
            return

    async def _stage(self, before: Inventory, manifests: list[Manifest]) -> bool:
        """Rehearse all of a stage, then apply what differs; false if it must not go on."""
        self._beat(f"checking {len(manifests)} objects")
        compared = await in_parallel(self._objects.compare, manifests)
        refused = [found for found in compared if found.refused]
        if refused:
            self._results += [_refusal(found) for found in refused]
            return False
        await self._store.check(self._order.fencing)
        self._refs += [found.ref for found in compared]
        changed = [found for found in compared if found.action != "unchanged"]
        self._results += [
            ObjectResult(object=found.ref, result="unchanged")
            for found in compared
            if found.action == "unchanged"
        ]
        if changed and self._new_to(before):
            await self._store.store(self._underway(before))
        if not await self._apply(changed):
            return False
        return await self._founded([found for found in compared if _is_foundation(found.ref)])

    async def _apply(self, changed: Sequence[Comparison]) -> bool:
        """Apply in order, objects of one kind side by side; stops at the first kind that fails."""
        for group in _by_kind(changed):
            results = await in_parallel(self._write, group)
            self._results += results
            if any(result.result in {"refused", "unknown"} for result in results):
                # If the cluster is gone this raises, and all of it is tried again.
                await self._store.check(self._order.fencing)
                return False
        return True

    async def _write(self, found: Comparison) -> ObjectResult:
        result = await self._writer.write(found)
        self._beat(f"{found.ref}: {result.result}")
        log.info("object_applied", object=str(found.ref), result=result.result)
        return result

    async def _founded(self, foundations: Sequence[Comparison]) -> bool:
        """Wait until CRDs are served and namespaces are active; false if they never are."""
        waiting = [found.ref for found in foundations]
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while waiting := [ref for ref in waiting if not await self._works(ref)]:
                    self._beat(f"waiting for {waiting[0]}")
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            message = f"it does not work {_READY_SECONDS:.0f} seconds after it was applied"
            self._results += [
                ObjectResult(object=ref, result="unknown", message=message) for ref in waiting
            ]
            return False
        return True

    async def _works(self, ref: ObjectRef) -> bool:
        sight, live = await self._objects.look(ref)
        if sight is Sight.DENIED:
            # What may be written but not read must be believed.
            return True
        if live is None or assess(live).status != "Healthy":
            return False
        return await self._objects.serves(live)

    async def _prune(self, before: Inventory) -> tuple[ObjectRef, ...]:
        """Delete what left Git; what is still there afterwards stays in the inventory."""
        left = before.without(self._refs)
        if not left or not self._order.prune or not self._order.bundle.manifests:
            return tuple(reversed(left))
        await self._store.check(self._order.fencing)
        results = await self._pruner.prune(left, self._beat)
        self._results += results
        kept = {key_of(result.object) for result in results if result.result != "deleted"}
        return tuple(ref for ref in reversed(left) if key_of(ref) in kept)

    def _new_to(self, before: Inventory) -> bool:
        """Whether the stored inventory does not say yet what this stage may create."""
        return before.complete or before.joined(self._refs) != before.objects

    def _underway(self, before: Inventory) -> Inventory:
        return before.model_copy(update={"complete": False, "objects": before.joined(self._refs)})

    def _report(self, problem: str) -> ApplyReport:
        counts = Counter(result.result for result in self._results)
        missing = len(self._order.bundle.manifests) - len(self._results)
        if problem and missing > 0:
            problem += f"; {missing} objects were not reached"
        bad = [r for r in self._results if r.result in {"refused", "unknown", "kept"}]
        return ApplyReport(
            ok=not problem,
            counts=dict(counts),
            problems=tuple(bad[:_MAX_PROBLEMS]),
            message=problem,
        )


def _by_kind(compared: Sequence[Comparison]) -> Iterator[list[Comparison]]:
    for _, group in groupby(compared, key=lambda found: (found.ref.group, found.ref.kind)):
        yield list(group)


def _is_foundation(ref: ObjectRef) -> bool:
    return ref.kind in _FOUNDATIONS


def _refusal(found: Comparison) -> ObjectResult:
    words = "; ".join(item.message for item in found.findings if item.severity == "error")
    return ObjectResult(object=found.ref, result="refused", message=words)
