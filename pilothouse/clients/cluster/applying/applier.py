"""One bundle into the cluster: claim, stage by stage, inventory, prune, record."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import structlog

from pilothouse.clients.cluster.applying.foundations import Foundations
from pilothouse.clients.cluster.applying.inventories import FENCE_SECONDS, Fence, InventoryStore
from pilothouse.clients.cluster.applying.outcome import Outcome
from pilothouse.clients.cluster.applying.pruning import Pruner
from pilothouse.clients.cluster.applying.writer import Writer, refused
from pilothouse.clients.cluster.comparing.comparison import Comparison
from pilothouse.clients.cluster.comparing.objects import Objects
from pilothouse.clients.cluster.comparing.survey import Survey
from pilothouse.clients.cluster.parallel import in_parallel
from pilothouse.gitops.inventory import Inventory, key_of, run_digest
from pilothouse.gitops.manifests.order import stage_of
from pilothouse.gitops.opt_outs import wave_of
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.health import HealthReport
from pilothouse.models.objects import ApplyReport, Bundle, Manifest, ObjectRef, ObjectResult

log = structlog.get_logger()

_BAD: Final = frozenset({"refused", "unknown"})


class ApplyOrder(NamedTuple):
    """Who applies what, and on whose authority."""

    bundle: Bundle
    fencing: int
    operation: str
    revision: str
    prune: bool
    content: str
    """Address of the bundle in the content store; empty if it is not there."""
    max_deletes: int | None = None
    """How many objects may be deleted; None: any number."""


class Tools(NamedTuple):
    """What an apply works with."""

    store: InventoryStore
    fence: Fence
    objects: Objects
    survey: Survey
    writer: Writer
    pruner: Pruner
    foundations: Foundations
    healthy: Callable[[Sequence[ObjectRef]], Awaitable[HealthReport]]
    """Waits, for a bounded time, until these objects work."""
    beat: Callable[[str], None]


class Applier:
    """One apply of one bundle. Use once."""

    def __init__(self, order: ApplyOrder, tools: Tools) -> None:
        self._order = order
        self._tools = tools
        self._outcome = Outcome(len(order.bundle.manifests))
        self._refs: list[ObjectRef] = []
        """Objects of this inventory that the bundle holds, as far as they were looked at."""
        self._runs: list[str] = []
        self._recorded: tuple[ObjectRef, ...] | None = None
        """The objects in the stored inventory, once it says that an apply is under way."""

    async def run(self) -> ApplyReport:
        """Apply, prune, record. Idempotent; safe to cancel and to repeat at any point.

        What may come to exist is in the stored inventory before it is written, so that whatever
        happens in between, the next apply knows what there is to prune. The one exception is the
        namespace of the environment itself, in which the inventory stands.

        Raises:
            PermanentError: `Fenced`, `PruneBudget`, `ClusterRefused`.
            TemporaryError: `ClusterUnavailable`; a repetition goes on where this one stopped.
        """
        try:
            return await self._run()
        except PermanentError as error:
            raise PermanentError(error.type, f"{error}{self._outcome.so_far()}") from error
        except TemporaryError as error:
            words = f"{error}{self._outcome.so_far()}"
            raise TemporaryError(error.type, words, error.delay) from error

    async def _run(self) -> ApplyReport:
        order, tools = self._order, self._tools
        await self._settle_in()
        before, interrupts = await tools.store.claim(
            fencing=order.fencing,
            operation=order.operation,
            environment=order.bundle.environment,
        )
        if interrupts:
            # The one that lost may not know it yet: let it find out before we write.
            await asyncio.sleep(FENCE_SECONDS)
        await self._within_budget(before)
        for _, stage in groupby(order.bundle.manifests, key=stage_of):
            if not await self._stage(before, list(stage)):
                if self._runs:
                    # What ran must not run again because something else failed.
                    await self._record(before, self._union(before))
                return self._outcome.report()
        survivors = await self._prune(before)
        # Survivors first: they are the oldest, and go last when all is deleted in reverse.
        await self._record(before, (*survivors, *self._refs), complete=True)
        return self._outcome.report()

    async def _settle_in(self) -> None:
        """Make the environment's namespace, if Git declares it and the cluster lacks it."""
        namespace = self._order.bundle.namespace
        for manifest in self._order.bundle.manifests:
            ref = manifest.ref
            if (ref.group, ref.kind, ref.name) != ("", "Namespace", namespace):
                continue
            [found] = await self._tools.survey.compare([manifest])
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

    async def _within_budget(self, before: Inventory) -> None:
        """Refuse the whole apply if its prune would delete more than is allowed."""
        left = await self._left(before)
        if self._order.max_deletes is None or len(left) <= self._order.max_deletes:
            return
        deleted = [one.ref for one in await self._tools.pruner.judge(left) if one.is_deleted]
        if len(deleted) > self._order.max_deletes:
            names = ", ".join(map(str, deleted[:5]))
            raise PermanentError(
                "PruneBudget",
                f"this would delete {len(deleted)} objects, and {self._order.max_deletes} are"
                f" allowed: {names}; nothing was written. Have a plan with these deletes"
                " approved, or raise prune_budget",
            )

    async def _left(self, before: Inventory) -> tuple[ObjectRef, ...]:
        """What left Git and may be pruned; nothing if the bundle is empty."""
        bundle = self._order.bundle
        if not self._order.prune or not bundle.manifests:
            return ()
        placed = [await self._tools.objects.place(manifest) for manifest in bundle.manifests]
        return before.without(one.ref for one in placed)

    async def _stage(self, before: Inventory, stage: Sequence[Manifest]) -> bool:
        """Rehearse all of a stage, then apply what differs; false if it must not go on."""
        self._tools.beat(f"checking {len(stage)} objects")
        compared = await self._tools.survey.compare(stage)
        problems = [refused(found) for found in compared if found.refused]
        if problems:
            self._outcome.add(*problems)
            return self._outcome.stop("the cluster refused it")
        await self._tools.fence.hold()
        self._note(before, compared)
        changed = [found for found in compared if found.action != "unchanged"]
        if changed:
            await self._mark(before)
        return await self._waves(compared)

    def _note(self, before: Inventory, compared: Sequence[Comparison]) -> None:
        """Remember whose the objects of a stage are, and what needs no write."""
        owned = {key_of(ref) for ref in before.objects}
        for found in compared:
            if not found.skipped or key_of(found.ref) in owned:
                self._refs.append(found.ref)
            run = run_digest(found.manifest.body)
            if found.action == "unchanged" and (not found.skipped or run in before.runs):
                self._remember(run)
            if found.skipped:
                words = found.skipped
                self._outcome.add(ObjectResult(object=found.ref, result="skipped", message=words))
            elif found.action == "unchanged":
                self._outcome.add(ObjectResult(object=found.ref, result="unchanged"))

    async def _waves(self, compared: Sequence[Comparison]) -> bool:
        """Apply wave by wave: what a later one needs works before its first write."""
        waves = [
            list(group)
            for _, group in groupby(compared, key=lambda found: wave_of(found.manifest.body))
        ]
        for place, wave in enumerate(waves):
            changed = [found for found in wave if found.action != "unchanged"]
            if not await self._apply(changed):
                return self._outcome.stop("the cluster refused it")
            if not await self._founded(wave):
                return self._outcome.stop("what the rest stands on does not work")
            later = [found for after in waves[place + 1 :] for found in after]
            if any(found.action != "unchanged" for found in later) and not await self._works(wave):
                return False
        return True

    async def _works(self, wave: Sequence[Comparison]) -> bool:
        """Wait until a wave is healthy; false, with the reason kept, if it does not become so."""
        refs = [found.ref for found in wave if not found.skipped]
        health = await self._tools.healthy(refs)
        if health.healthy:
            return True
        number = wave_of(wave[0].manifest.body)
        sick = "; ".join(f"{one.object}: {one.message}" for one in health.waiting_for[:5])
        return self._outcome.stop(
            f"wave {number} is {health.status}, so no later wave was begun ({sick})"
        )

    async def _apply(self, changed: Sequence[Comparison]) -> bool:
        """Apply in order, objects of one kind side by side; stops at the first kind that fails."""
        for group in _by_kind(changed):
            results = await in_parallel(self._write, group)
            if any(result.result in _BAD for result in results):
                return False
        return True

    async def _write(self, found: Comparison) -> ObjectResult:
        result = await self._tools.writer.write(found, self._tools.beat)
        self._outcome.add(result)
        if result.result not in _BAD:
            self._remember(run_digest(found.manifest.body))
        self._tools.beat(f"{found.ref}: {result.result}")
        log.debug("object_applied", object=str(found.ref), result=result.result)
        return result

    async def _founded(self, wave: Sequence[Comparison]) -> bool:
        """Wait until the definitions and namespaces of a wave work; false if they never do."""
        refs = [found.ref for found in wave if not found.skipped]
        failed = await self._tools.foundations.stand(refs, self._tools.beat)
        self._outcome.add(*failed)
        return not failed

    async def _prune(self, before: Inventory) -> tuple[ObjectRef, ...]:
        """Delete what left Git; what is still there afterwards stays in the inventory."""
        left = before.without(self._refs)
        if not left or not self._order.prune or not self._order.bundle.manifests:
            return tuple(reversed(left))
        await self._mark(before)
        results = await self._tools.pruner.prune(left, self._tools.fence, self._tools.beat)
        self._outcome.add(*results)
        kept = {key_of(result.object) for result in results if result.result != "deleted"}
        return tuple(ref for ref in reversed(left) if key_of(ref) in kept)

    async def _mark(self, before: Inventory) -> None:
        """Have the stored inventory say what may exist from here on, before it does."""
        union = self._union(before)
        if self._recorded != union:
            await self._record(before, union)

    def _remember(self, run: str) -> None:
        if run:
            self._runs.append(run)

    def _union(self, before: Inventory) -> tuple[ObjectRef, ...]:
        return before.joined(self._refs)

    async def _record(
        self, before: Inventory, refs: tuple[ObjectRef, ...], *, complete: bool = False
    ) -> None:
        order = self._order
        update: dict[str, object] = {"complete": complete, "objects": refs}
        if complete:
            update |= {
                "revision": order.revision,
                "plan": order.bundle.digest(),
                "bundle": order.content,
                "runs": tuple(self._runs),
            }
        else:
            update["runs"] = tuple(dict.fromkeys((*before.runs, *self._runs)))
        await self._tools.store.store(before.model_copy(update=update))
        self._recorded = refs


def _by_kind(compared: Sequence[Comparison]) -> Iterator[list[Comparison]]:
    for _, group in groupby(compared, key=lambda found: (found.ref.group, found.ref.kind)):
        yield list(group)
