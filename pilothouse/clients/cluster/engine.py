"""One bundle and one cluster: what is asked and written for it, put together from its parts."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.applying.applier import Applier, ApplyOrder, Tools
from pilothouse.clients.cluster.applying.deleting import Deleter
from pilothouse.clients.cluster.applying.foundations import Foundations
from pilothouse.clients.cluster.applying.inventories import Fence, InventoryStore
from pilothouse.clients.cluster.applying.pruning import Pruner
from pilothouse.clients.cluster.applying.writer import Writer
from pilothouse.clients.cluster.comparing.comparer import Comparer
from pilothouse.clients.cluster.comparing.comparison import Rules
from pilothouse.clients.cluster.comparing.objects import Objects
from pilothouse.clients.cluster.comparing.references import missing_references
from pilothouse.clients.cluster.comparing.snapshot import Snapshot
from pilothouse.clients.cluster.comparing.survey import Survey
from pilothouse.clients.cluster.planning import Rehearsed, find_drift, make_plan
from pilothouse.clients.cluster.resources import Resources
from pilothouse.clients.cluster.transport import Transport
from pilothouse.gitops.inventory import Inventory, ObjectKey, key_of
from pilothouse.models.errors import PermanentError
from pilothouse.models.health import DriftReport, HealthReport
from pilothouse.models.objects import ApplyReport, Bundle, ObjectRef
from pilothouse.models.pipeline import IgnoreRule
from pilothouse.models.rehearsal import Met, Rehearsal

_REHEARSED_SECONDS: Final = 600.0
"""How long a rehearsal counts: rights, quotas and admission change without a trace on objects."""


class Wishes(NamedTuple):
    """What the environment says about how its objects are compared and applied."""

    recreate: bool = False
    ignore: Sequence[IgnoreRule] = ()
    take_back: bool = False
    """Whether what other managers overwrote is put back."""
    rehearsal: Rehearsal | None = None
    """What the plan met: what still is so needs no second rehearsal."""


class Engine:
    """Plans, applies and watches over one bundle."""

    def __init__(
        self,
        transport: Transport,
        resources: Resources,
        bundle: Bundle,
        store: InventoryStore,
        wishes: Wishes,
    ) -> None:
        self._transport = transport
        self._resources = resources
        self._bundle = bundle
        self._store = store
        self._wishes = wishes
        self._objects = Objects(transport, resources, bundle, store.name)
        self._deleter = Deleter(transport, self._objects)
        self._pruner = Pruner(resources, self._objects, self._deleter)

    async def plan(
        self,
        revision: str,
        *,
        prune: bool,
        exists: Callable[[ObjectRef], Awaitable[bool | None]],
    ) -> Rehearsed:
        """Rehearse an apply; nothing is written."""
        try:
            stored = await self._store.read()
            survey = self._survey(self._comparer(stored, detail=True))
            return await make_plan(
                self._bundle,
                revision,
                survey,
                self._pruner,
                stored,
                name=self._store.name,
                prune=prune,
                references=await missing_references(self._bundle, exists),
            )
        except Refusal as refusal:
            raise refusal.as_permanent("cannot plan") from None

    async def drift(self) -> DriftReport:
        """Where the cluster no longer matches the bundle; nothing is written."""
        try:
            stored = await self._store.read()
            return await find_drift(
                self._bundle, self._survey(self._comparer(stored, detail=True)), stored
            )
        except Refusal as refusal:
            raise refusal.as_permanent("cannot look for drift") from None

    async def apply(
        self,
        order: ApplyOrder,
        healthy: Callable[[Sequence[ObjectRef]], Awaitable[HealthReport]],
        beat: Callable[[str], None],
    ) -> ApplyReport:
        """Apply, prune, record."""
        try:
            comparer = self._comparer(await self._store.read(), detail=False)
            fence = Fence(self._store, order.fencing)
            tools = Tools(
                store=self._store,
                fence=fence,
                objects=self._objects,
                survey=self._survey(comparer),
                writer=Writer(self._transport, self._objects, comparer, self._deleter, fence),
                pruner=self._pruner,
                foundations=Foundations(self._objects),
                healthy=healthy,
                beat=beat,
            )
            return await Applier(order, tools).run()
        except Refusal as refusal:
            raise refusal.as_permanent("cannot apply") from None

    def _survey(self, comparer: Comparer) -> Survey:
        return Survey(self._objects, Snapshot(self._transport, self._store.name), comparer)

    def _comparer(self, stored: Inventory | None, *, detail: bool) -> Comparer:
        return Comparer(
            self._objects,
            Rules(
                recreate=self._wishes.recreate,
                ignore=self._wishes.ignore,
                take_back=self._wishes.take_back,
                met=self._met(),
                done=frozenset(stored.runs) if stored is not None else frozenset(),
                detail=detail,
            ),
        )

    def _met(self) -> dict[ObjectKey, Met]:
        """What the rehearsal met, if it was of this bundle and not long ago."""
        rehearsal = self._wishes.rehearsal
        if rehearsal is None or not 0 <= rehearsal.age(datetime.now(UTC)) <= _REHEARSED_SECONDS:
            return {}
        if (rehearsal.digest, rehearsal.inventory) != (self._bundle.digest(), self._store.name):
            return {}
        return {key_of(met.object): met for met in rehearsal.objects}


def refuse_own_inventory(bundle: Bundle, store: InventoryStore) -> None:
    """A bundle must not hold the ConfigMap that records it.

    Raises:
        PermanentError: `ClusterRefused`.
    """
    for manifest in bundle.manifests:
        ref = manifest.ref
        placed = ref.model_copy(update={"namespace": ref.namespace or bundle.namespace})
        if key_of(placed) == key_of(store.ref):
            raise PermanentError(
                "ClusterRefused",
                f"{manifest.file}:{manifest.line} holds the ConfigMap {store.name}, which is"
                " the inventory of this environment: give it another name",
            )
