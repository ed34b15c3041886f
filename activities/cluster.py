"""The cluster: plan, apply, wait for health, observe. Holds the kubeconfig; the only writer."""

from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError
from temporalio import activity

from pilothouse.clients.store import ContentStore
from pilothouse.gitops.ignores import implied_ignores
from pilothouse.gitops.inventory import vanishing
from pilothouse.gitops.opt_outs import opt_outs
from pilothouse.gitops.plan import brief
from pilothouse.models.errors import PermanentError
from pilothouse.models.health import HealthReport
from pilothouse.models.objects import ApplyReport, Bundle, ObjectRef, Plan
from pilothouse.models.rehearsal import Rehearsal
from pilothouse.models.steps import (
    ApplyRequest,
    HealthRequest,
    ObserveRequest,
    ObserveResult,
    PlanRequest,
)

if TYPE_CHECKING:
    # Workflows import this module for the names of its methods: they need no client for that.
    from pilothouse.clients.cluster import ClusterClient

log = structlog.get_logger()


class ClusterActivities:
    """What workflows may do to one cluster."""

    def __init__(self, *, cluster: "ClusterClient", store: ContentStore) -> None:
        self._cluster = cluster
        self._store = store

    @activity.defn
    async def plan_deployment(self, request: PlanRequest) -> Plan:
        """Dry-run every object on the API server and diff it with what is live. Writes nothing.

        The plan's differences, and what the dry-run met, go into the content store.
        """
        bundle = self._bundle(request.content)
        plan, rehearsal = await self._cluster.rehearse(
            bundle,
            revision=request.revision,
            inventory=request.inventory,
            prune=request.prune,
            recreate=request.recreate,
            take_back=request.take_back,
            ignore=(*request.ignore, *implied_ignores(bundle)),
        )
        return brief(plan).model_copy(
            update={
                "document": self._store.put(plan.model_dump_json().encode()),
                "rehearsal": self._store.put(rehearsal.model_dump_json().encode()),
            }
        )

    @activity.defn
    async def apply_plan(self, request: ApplyRequest) -> ApplyReport:
        """Apply a decided plan: what differs, in stages and waves, inventory before prune.

        Idempotent: a second attempt finds what the first one did and does the rest.

        Raises:
            ApplicationError: `DigestMismatch`, the bytes are not what was decided on; `Fenced`, a
                newer deployment holds the environment; `PruneBudget`, more deletes than were
                allowed; `ClusterRefused`; all final. `ClusterUnavailable`, retried.
        """
        bundle = self._bundle(request.content)
        return await self._cluster.apply(
            bundle,
            plan_digest=request.plan,
            inventory=request.inventory,
            fencing=request.fencing,
            operation=request.operation,
            revision=request.revision,
            prune=request.prune,
            content=request.content,
            recreate=request.recreate,
            take_back=request.take_back,
            ignore=(*request.ignore, *implied_ignores(bundle)),
            max_deletes=request.max_deletes,
            rehearsal=self._rehearsal(request.rehearsal),
            checks=request.checks,
            wave_timeout=request.wave_timeout_seconds,
            beat=activity.heartbeat,
        )

    @activity.defn
    async def await_health(self, request: HealthRequest) -> HealthReport:
        """Watch until everything works, or nothing can still change, or the time is up."""
        bundle = self._bundle(request.content)
        return await self._cluster.wait_for_health(
            _watched(bundle),
            bundle.namespace,
            timeout=request.timeout_seconds,
            settle=request.settle_seconds,
            beat=activity.heartbeat,
            checks=request.checks,
            may_vanish=vanishing(bundle),
        )

    @activity.defn
    async def observe_environment(self, request: ObserveRequest) -> ObserveResult:
        """Look at the health and drift of what the inventory says is deployed. Writes nothing."""
        inventory = await self._cluster.read_inventory(request.namespace, request.inventory)
        if inventory is None:
            return ObserveResult(deployed=False)
        bundle = self._deployed(inventory.bundle)
        health = await self._cluster.health(
            inventory.objects,
            request.namespace,
            checks=request.checks,
            may_vanish=vanishing(bundle) if bundle is not None else (),
        )
        if bundle is None:
            return ObserveResult(deployed=True, revision=inventory.revision, health=health)
        ignore = (*request.ignore, *implied_ignores(bundle))
        drift = await self._cluster.drift(bundle, inventory=request.inventory, ignore=ignore)
        return ObserveResult(deployed=True, revision=inventory.revision, health=health, drift=drift)

    def _bundle(self, content: str) -> Bundle:
        return Bundle.model_validate_json(self._store.get(content))

    def _deployed(self, content: str) -> Bundle | None:
        """The bundle that an inventory names; None if this store does not have it."""
        try:
            return self._bundle(content)
        except PermanentError as error:
            if error.type != "StoreMiss":
                raise
            # Another machine's store, or one that was cleared: health is still worth reporting.
            return None

    def _rehearsal(self, content: str) -> Rehearsal | None:
        """What the plan met; without it an apply only asks the server more."""
        if not content:
            return None
        try:
            return Rehearsal.model_validate_json(self._store.get(content))
        except PermanentError as error:
            if error.type != "StoreMiss":
                raise
            log.info("rehearsal_missing", content=content)
        except ValidationError:
            # Written by another version of ours.
            log.info("rehearsal_unreadable", content=content)
        return None


def _watched(bundle: Bundle) -> list[ObjectRef]:
    """The objects whose health is ours to wait for."""
    return [one.ref for one in bundle.manifests if opt_outs(one.body).apply != "disabled"]
