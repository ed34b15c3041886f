"""The one way into a cluster: plan, apply, health, diagnosis, drift."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pilothouse.clients.cluster.answers import Refusal
from pilothouse.clients.cluster.applying import Applier, ApplyOrder
from pilothouse.clients.cluster.evidence import Evidence
from pilothouse.clients.cluster.inventories import InventoryStore
from pilothouse.clients.cluster.listing import Lister
from pilothouse.clients.cluster.objects import Objects
from pilothouse.clients.cluster.planning import find_drift, make_plan
from pilothouse.clients.cluster.pruning import Pruner
from pilothouse.clients.cluster.resources import Resources
from pilothouse.clients.cluster.transport import METADATA, Transport
from pilothouse.clients.cluster.waiting import HealthWatch, Patience
from pilothouse.clients.cluster.writer import Writer
from pilothouse.gitops.inventory import Inventory, key_of
from pilothouse.models.errors import PermanentError
from pilothouse.models.health import Diagnosis, DriftReport, HealthReport
from pilothouse.models.objects import ApplyReport, Bundle, ObjectRef, Plan

_LABEL_VALUE: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


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

    async def plan(self, bundle: Bundle, *, revision: str, inventory: str, prune: bool) -> Plan:
        """Rehearse an apply on the server and compare it with what is live; writes nothing.

        Args:
            bundle: the objects, in apply order.
            revision: the full commit id that they were rendered from.
            inventory: name of the environment's inventory.
            prune: whether an apply would delete what left Git.

        Returns:
            The plan. Everything the server refuses is in its findings, all at once; Secrets and
            other kinds that may not be read are planned as a change, with a note.
        """
        objects, store = self._room(bundle, inventory)
        pruner = Pruner(self._transport, self._resources, objects, inventory)
        try:
            stored = await store.read()
            return await make_plan(bundle, revision, objects, pruner, stored, prune)
        except Refusal as refusal:
            raise refusal.as_permanent("cannot plan") from None

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
    ) -> ApplyReport:
        """Put a bundle into the cluster: server-side apply, stage by stage, then prune.

        Idempotent: what does not differ is not written. Safe to cancel and to repeat. Another
        manager's fields are never taken, save those of a person's `kubectl apply`.

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

        Returns:
            What happened, from the server's own answers. `ok` is false if anything was refused or
            its state is unknown.

        Raises:
            PermanentError: `DigestMismatch`, `Fenced`, `ClusterRefused`.
            TemporaryError: `ClusterUnavailable`.
        """
        if bundle.digest() != plan_digest:
            raise PermanentError(
                "DigestMismatch",
                f"the bundle's digest is {bundle.digest()}, but {plan_digest} was approved:"
                " plan again and have that plan approved",
            )
        objects, store = self._room(bundle, inventory)
        order = ApplyOrder(bundle, fencing, operation, revision, prune, content)
        pruner = Pruner(self._transport, self._resources, objects, inventory)
        writer = Writer(self._transport, objects)
        try:
            return await Applier(order, store, objects, writer, pruner, beat).run()
        except Refusal as refusal:
            raise refusal.as_permanent("cannot apply") from None

    async def read_inventory(self, namespace: str, name: str) -> Inventory | None:
        """What an environment owns and which revision it runs; None if it owns nothing yet."""
        return await InventoryStore(self._transport, *_checked(namespace, name)).read()

    async def health(self, objects: Bundle | Sequence[ObjectRef], namespace: str) -> HealthReport:
        """Look once at each object, and diagnose those that are not healthy."""
        refs = [m.ref for m in objects.manifests] if isinstance(objects, Bundle) else objects
        watch = self._watch(Patience(timeout=0, quiet=0), _no_beat)
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
    ) -> HealthReport:
        """Watch until all is healthy and stays so, or nothing can still change, or time is up.

        Args:
            refs: the objects; references without a namespace mean `namespace`.
            namespace: the environment's.
            timeout: seconds.
            beat: called about every second with a word of progress.
            settle: seconds for which workloads must stay healthy, without a restart.
            persist: seconds for which a final diagnosis must stand before it ends the watch.

        Returns:
            A report, with a diagnosis of each object that is not healthy, at most 20.
        """
        patience = Patience(timeout=timeout, settle=settle, persist=persist)
        try:
            return await self._watch(patience, beat).until_settled(refs, namespace)
        except Refusal as refusal:
            raise refusal.as_permanent("cannot judge health") from None

    async def diagnose(self, refs: Sequence[ObjectRef], namespace: str) -> tuple[Diagnosis, ...]:
        """Why each of these objects is not healthy; nothing for those that are."""
        return (await self.health(refs, namespace)).diagnoses

    async def drift(self, bundle: Bundle, *, inventory: str) -> DriftReport:
        """Where the cluster no longer matches the bundle that was applied; writes nothing."""
        objects, store = self._room(bundle, inventory)
        try:
            return await find_drift(bundle, objects, await store.read())
        except Refusal as refusal:
            raise refusal.as_permanent("cannot look for drift") from None

    async def exists(self, ref: ObjectRef) -> bool | None:
        """Whether an object is there; None if we may not know."""
        try:
            resource = await self._resources.find(ref.api_version, ref.kind)
            if resource is None:
                return False
            path = resource.item(ref.namespace, ref.name)
            await self._transport.json("GET", path, accept=METADATA, seconds=15)
        except Refusal as refusal:
            if refusal.code == 404:
                return False
            if refusal.code == 403:
                return None
            raise refusal.as_permanent(f"cannot look for {ref}") from None
        return True

    def _room(self, bundle: Bundle, inventory: str) -> tuple[Objects, InventoryStore]:
        store = InventoryStore(self._transport, *_checked(bundle.namespace, inventory))
        for manifest in bundle.manifests:
            ref = manifest.ref
            placed = ref.model_copy(update={"namespace": ref.namespace or bundle.namespace})
            if key_of(placed) == key_of(store.ref):
                raise PermanentError(
                    "ClusterRefused",
                    f"{manifest.file}:{manifest.line} holds the ConfigMap {inventory}, which is"
                    " the inventory of this environment: give it another name",
                )
        return Objects(self._transport, self._resources, bundle, inventory), store

    def _watch(self, patience: Patience, beat: Callable[[str], None]) -> HealthWatch:
        return HealthWatch(self._lister, self._evidence, patience, beat)


def _checked(namespace: str, inventory: str) -> tuple[str, str]:
    """Names from outside that become steps of a path and the value of a label."""
    if not _NAMESPACE.fullmatch(namespace):
        raise PermanentError("InvalidRequest", f"{namespace!r} is not the name of a namespace")
    if not _LABEL_VALUE.fullmatch(inventory):
        raise PermanentError(
            "InvalidRequest",
            f"{inventory!r} cannot name an inventory: use at most 63 of a-z, 0-9, '-' and '.'",
        )
    return namespace, inventory


def _no_beat(progress: str) -> None:
    """A single look is short: nobody waits for its heartbeat."""
