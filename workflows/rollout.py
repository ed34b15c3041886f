"""The part of a deployment that touches the cluster: apply, wait for health, read back."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.cluster import ClusterActivities
    from pilothouse.models import names
    from pilothouse.models.environment import LockAnswer
    from pilothouse.models.health import DriftReport, HealthReport
    from pilothouse.models.objects import ApplyReport
    from pilothouse.models.pipeline import duration
    from pilothouse.models.runs import DeploymentRequest
    from pilothouse.models.steps import ApplyRequest, HealthRequest, ObserveRequest

from workflows import options
from workflows.preparation import Prepared


async def apply(request: DeploymentRequest, prepared: Prepared, lease: LockAnswer) -> ApplyReport:
    """Write what was decided on, under the lease's fencing number."""
    plan = prepared.plan
    return await options.CLUSTER_WRITE(
        ClusterActivities.apply_plan,
        ApplyRequest(
            content=prepared.bundle.content,
            plan=plan.digest,
            revision=request.revision,
            inventory=names.inventory_name(request.repository.slug, request.environment),
            fencing=lease.fencing,
            operation=workflow.info().workflow_id,
            prune=prepared.environment.prune,
        ),
        summary=f"apply plan {names.short(plan.digest)} under fencing number {lease.fencing}",
    )


async def await_health(prepared: Prepared) -> HealthReport:
    """Watch until everything works, or cannot any more, or the environment's time is up."""
    limit = duration(prepared.environment.health_timeout)
    bundle = prepared.bundle
    return await options.watching(limit)(
        ClusterActivities.await_health,
        HealthRequest(content=bundle.content, timeout_seconds=limit.total_seconds()),
        summary=f"wait until {bundle.objects} objects are healthy, at most {limit}",
    )


def why_unhealthy(health: HealthReport) -> str:
    """In one sentence, from the first diagnosis; else what it still waited for."""
    if health.diagnoses:
        return health.diagnoses[0].summary
    return f"still {health.status} after {health.seconds:.0f} s"


async def read_back(request: DeploymentRequest, prepared: Prepared) -> DriftReport | None:
    """Whether the cluster holds what was applied; None if that cannot be told."""
    seen = await options.CLUSTER_READ(
        ClusterActivities.observe_environment,
        ObserveRequest(
            namespace=prepared.environment.namespace,
            inventory=names.inventory_name(request.repository.slug, request.environment),
        ),
        summary="read back whether the cluster holds the plan",
    )
    return seen.drift
