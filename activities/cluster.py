"""The cluster: plan, apply, wait for health, observe. Holds the kubeconfig; the only writer."""

from temporalio import activity

from pilothouse.clients.cluster import ClusterClient
from pilothouse.clients.store import ContentStore
from pilothouse.models.errors import PermanentError
from pilothouse.models.health import HealthReport
from pilothouse.models.objects import ApplyReport, Bundle, Plan
from pilothouse.models.steps import (
    ApplyRequest,
    HealthRequest,
    ObserveRequest,
    ObserveResult,
    PlanRequest,
)


class ClusterActivities:
    """What workflows may do to one cluster."""

    def __init__(self, *, cluster: ClusterClient, store: ContentStore) -> None:
        self._cluster = cluster
        self._store = store

    @activity.defn
    async def plan_deployment(self, request: PlanRequest) -> Plan:
        """Dry-run every object on the API server and diff it with what is live. Writes nothing."""
        return await self._cluster.plan(
            self._bundle(request.content),
            revision=request.revision,
            inventory=request.inventory,
            prune=request.prune,
        )

    @activity.defn
    async def apply_plan(self, request: ApplyRequest) -> ApplyReport:
        """Apply a decided plan: what differs, in stages, inventory before prune.

        Idempotent: a second attempt finds what the first one did and does the rest.

        Raises:
            ApplicationError: `DigestMismatch`, the bytes are not what was decided on; `Fenced`, a
                newer deployment holds the environment; `ClusterRefused`; all final.
                `ClusterUnavailable`, retried.
        """
        return await self._cluster.apply(
            self._bundle(request.content),
            plan_digest=request.plan,
            inventory=request.inventory,
            fencing=request.fencing,
            operation=request.operation,
            revision=request.revision,
            prune=request.prune,
            content=request.content,
            beat=activity.heartbeat,
        )

    @activity.defn
    async def await_health(self, request: HealthRequest) -> HealthReport:
        """Watch until everything works, or nothing can still change, or the time is up."""
        bundle = self._bundle(request.content)
        return await self._cluster.wait_for_health(
            [manifest.ref for manifest in bundle.manifests],
            bundle.namespace,
            timeout=request.timeout_seconds,
            beat=activity.heartbeat,
        )

    @activity.defn
    async def observe_environment(self, request: ObserveRequest) -> ObserveResult:
        """Look at the health and drift of what the inventory says is deployed. Writes nothing."""
        inventory = await self._cluster.read_inventory(request.namespace, request.inventory)
        if inventory is None:
            return ObserveResult(deployed=False)
        health = await self._cluster.health(inventory.objects, request.namespace)
        try:
            bundle = self._bundle(inventory.bundle)
        except PermanentError as error:
            if error.type != "StoreMiss":
                raise
            # Another machine's store, or one that was cleared: health is still worth reporting.
            return ObserveResult(deployed=True, revision=inventory.revision, health=health)
        drift = await self._cluster.drift(bundle, inventory=request.inventory)
        return ObserveResult(deployed=True, revision=inventory.revision, health=health, drift=drift)

    def _bundle(self, content: str) -> Bundle:
        return Bundle.model_validate_json(self._store.get(content))
