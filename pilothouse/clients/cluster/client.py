"""The one way into a cluster: plan, apply, health, diagnosis, drift."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.applying.applier import ApplyOrder
from pilothouse.clients.cluster.applying.inventories import InventoryStore, find_inventories
from pilothouse.clients.cluster.comparing.references import is_there
from pilothouse.clients.cluster.engine import Engine, Wishes, refuse_own_inventory
from pilothouse.clients.cluster.planning import Rehearsed
from pilothouse.clients.cluster.resources import Resources, checked_inventory, checked_namespace
from pilothouse.clients.cluster.transport import Transport
from pilothouse.clients.cluster.watching.evidence import Evidence
from pilothouse.clients.cluster.watching.listing import Lister
from pilothouse.clients.cluster.watching.waiting import HealthWatch, Patience
from pilothouse.gitops.inventory import Inventory, ObjectKey, vanishing
from pilothouse.models.errors import PermanentError
from pilothouse.models.health import Diagnosis, DriftReport, HealthReport
from pilothouse.models.objects import ApplyReport, Bundle, ObjectRef, Plan
from pilothouse.models.pipeline import HealthCheck, IgnoreRule
from pilothouse.models.rehearsal import Rehearsal


class ClusterClient:
    """A connection to one cluster, as a least-privilege ServiceAccount.

    Every method may raise `PermanentError` `ClusterRefused` (we may not; the message names verb,
    resource, namespace and user) and `TemporaryError` `ClusterUnavailable` (no answer; try again).
    Use it within one event loop, as `async with await ClusterClient.connect(...) as cluster`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._resources = Resources(transport)
        self._lister = Lister(transport, self._resources)
        self._evidence = Evidence(transport, self._lister)

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Self:
        """Read the credentials; nothing is sent yet.

        Args:
            kubeconfig: without one, the pod's ServiceAccount or the default kubeconfig.
            context: a context of the kubeconfig; without one, its current context.
        """
        return cls(await Transport.connect(kubeconfig, context))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._transport.close()

    async def plan(
        self,
        bundle: Bundle,
        *,
        revision: str,
        inventory: str,
        prune: bool,
        recreate: bool = False,
        take_back: bool = False,
        ignore: Sequence[IgnoreRule] = (),
    ) -> Plan:
        """The plan of `rehearse`, whole: every change, every difference."""
        rehearsed = await self.rehearse(
            bundle,
            revision=revision,
            inventory=inventory,
            prune=prune,
            recreate=recreate,
            take_back=take_back,
            ignore=ignore,
        )
        return rehearsed.plan

    async def rehearse(
        self,
        bundle: Bundle,
        *,
        revision: str,
        inventory: str,
        prune: bool,
        recreate: bool = False,
        take_back: bool = False,
        ignore: Sequence[IgnoreRule] = (),
    ) -> Rehearsed:
        """Rehearse an apply on the server and compare it with what is live; writes nothing.

        Args:
            bundle: the objects, in apply order.
            revision: the full commit id that they were rendered from.
            inventory: name of the environment's inventory.
            prune: whether an apply would delete what left Git.
            recreate: whether objects may be deleted and made anew for an immutable field.
            take_back: whether fields that other managers overwrote are put back.
            ignore: fields that others own.

        Returns:
            The whole plan, and what its rehearsal met. Everything the server refuses is in its
            findings, all at once; Secrets and other kinds that may not be read are planned as a
            change, with a note. A reference to an object that neither the bundle nor the cluster
            has is an error among the findings.
        """
        engine = self._engine(bundle, inventory, Wishes(recreate, ignore, take_back))
        return await engine.plan(revision, prune=prune, exists=self.exists)

    async def apply(
        self,
        bundle: Bundle,
        *,
        plan_digest: str,
        inventory: str,
        fencing: int,
        operation: str,
        revision: str,
        prune: bool,
        beat: Callable[[str], None],
        content: str = "",
        recreate: bool = False,
        take_back: bool = False,
        ignore: Sequence[IgnoreRule] = (),
        max_deletes: int | None = None,
        rehearsal: Rehearsal | None = None,
        checks: Sequence[HealthCheck] = (),
        wave_timeout: float = 300.0,
    ) -> ApplyReport:
        """Put a bundle into the cluster: server-side apply, stage by stage, then prune.

        Idempotent: what does not differ is not written. Safe to cancel and to repeat. Another
        manager's fields are never taken, save those of a person's `kubectl`, and where the
        object's own annotation says so.

        Args:
            bundle: the objects, in apply order.
            plan_digest: what was approved; the bundle must have this digest.
            inventory: name of the environment's inventory, at most 63 characters.
            fencing: our number; the cluster refuses us once a higher one has written.
            operation: id of the deployment, kept in the inventory.
            revision: the full commit id that the bundle was rendered from.
            prune: delete our objects that are no longer in the bundle; never if it is empty or
                anything was refused.
            beat: called with a word of progress after each step.
            content: address of the bundle in the content store, kept in the inventory.
            recreate: whether objects may be deleted and made anew for an immutable field.
            take_back: whether fields that other managers overwrote are put back.
            ignore: fields that others own: they are left as they are.
            max_deletes: how many objects may be deleted; None: any number.
            rehearsal: what the plan met; what still is so is not rehearsed a second time.
            checks: how to judge custom resources between waves.
            wave_timeout: seconds for which one wave may take to become healthy.

        Returns:
            What happened, from the server's own answers. `ok` is false if anything was refused or
            its state is unknown.

        Raises:
            PermanentError: `DigestMismatch`, `Fenced`, `PruneBudget`, `ClusterRefused`.
            TemporaryError: `ClusterUnavailable`; the message says what was written so far.
        """
        if bundle.digest() != plan_digest:
            raise PermanentError(
                "DigestMismatch",
                f"the bundle's digest is {bundle.digest()}, but {plan_digest} was approved:"
                " plan again and have that plan approved",
            )
        order = ApplyOrder(bundle, fencing, operation, revision, prune, content, max_deletes)

        async def healthy(refs: Sequence[ObjectRef]) -> HealthReport:
            return await self.wait_for_health(
                refs,
                bundle.namespace,
                timeout=wave_timeout,
                beat=beat,
                checks=checks,
                may_vanish=vanishing(bundle),
            )

        engine = self._engine(bundle, inventory, Wishes(recreate, ignore, take_back, rehearsal))
        return await engine.apply(order, healthy, beat)

    async def read_inventory(self, namespace: str, name: str) -> Inventory | None:
        """What an environment owns and which revision it runs; None if it owns nothing yet."""
        return await InventoryStore(
            self._transport, checked_namespace(namespace), checked_inventory(name)
        ).read()

    async def find_inventories(self, namespace: str) -> dict[str, Inventory]:
        """Every readable inventory of a namespace, by name; none where we may not list."""
        return await find_inventories(self._transport, checked_namespace(namespace))

    async def health(
        self,
        objects: Bundle | Sequence[ObjectRef],
        namespace: str,
        *,
        checks: Sequence[HealthCheck] = (),
        may_vanish: Collection[ObjectKey] = (),
    ) -> HealthReport:
        """Look once at each object, and diagnose those that are not healthy.

        Args:
            objects: the objects; references without a namespace mean `namespace`.
            namespace: the environment's.
            checks: how to judge custom resources, before our own rules.
            may_vanish: objects that remove themselves when done: absent is healthy.
        """
        refs = [m.ref for m in objects.manifests] if isinstance(objects, Bundle) else objects
        watch = self._watch(Patience(timeout=0, quiet=0), _no_beat, checks, may_vanish)
        try:
            return await watch.once(refs, namespace)
        except Refusal as refusal:
            raise refusal.as_permanent("cannot judge health") from None

    async def wait_for_health(
        self,
        refs: Sequence[ObjectRef],
        namespace: str,
        *,
        timeout: float,
        beat: Callable[[str], None],
        settle: float = 1.0,
        persist: float = 3.0,
        checks: Sequence[HealthCheck] = (),
        may_vanish: Collection[ObjectKey] = (),
    ) -> HealthReport:
        """Watch until all is healthy and stays so, or nothing can still change, or time is up.

        Args:
            refs: the objects; references without a namespace mean `namespace`.
            namespace: the environment's.
            timeout: seconds.
            beat: called about every second with a word of progress.
            settle: seconds for which workloads must stay healthy, without a restart.
            persist: seconds for which a final diagnosis must stand before it ends the watch.
            checks: how to judge custom resources, before our own rules.
            may_vanish: objects that remove themselves when done: absent is healthy.

        Returns:
            A report, with a diagnosis of each object that is not healthy, at most 20.
        """
        patience = Patience(timeout=timeout, settle=settle, persist=persist)
        watch = self._watch(patience, beat, checks, may_vanish)
        try:
            return await watch.until_settled(refs, namespace)
        except Refusal as refusal:
            raise refusal.as_permanent("cannot judge health") from None

    async def diagnose(self, refs: Sequence[ObjectRef], namespace: str) -> tuple[Diagnosis, ...]:
        """Why each of these objects is not healthy; nothing for those that are."""
        return (await self.health(refs, namespace)).diagnoses

    async def drift(
        self, bundle: Bundle, *, inventory: str, ignore: Sequence[IgnoreRule] = ()
    ) -> DriftReport:
        """Where the cluster no longer matches the bundle that was applied; writes nothing."""
        return await self._engine(bundle, inventory, Wishes(ignore=ignore)).drift()

    async def exists(self, ref: ObjectRef) -> bool | None:
        """Whether an object is there; None if we may not know."""
        return await is_there(self._transport, self._resources, ref)

    def _engine(self, bundle: Bundle, inventory: str, wishes: Wishes) -> Engine:
        store = InventoryStore(
            self._transport, checked_namespace(bundle.namespace), checked_inventory(inventory)
        )
        refuse_own_inventory(bundle, store)
        return Engine(self._transport, self._resources, bundle, store, wishes)

    def _store(self, namespace: str, inventory: str) -> InventoryStore:
        space, name = checked_namespace(namespace), checked_inventory(inventory)
        return InventoryStore(self._transport, space, name)

    def _watch(
        self,
        patience: Patience,
        beat: Callable[[str], None],
        checks: Sequence[HealthCheck],
        may_vanish: Collection[ObjectKey],
    ) -> HealthWatch:
        return HealthWatch(
            self._lister, self._evidence, patience, beat, checks=checks, may_vanish=may_vanish
        )


def _no_beat(progress: str) -> None:
    """A single look is short: nobody waits for its heartbeat."""
