"""The part of a deployment that touches the cluster: apply, wait for health, read back."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.cluster import ClusterActivities
    from pilothouse.models import names
    from pilothouse.models.environment import LockAnswer
    from pilothouse.models.health import HealthReport
    from pilothouse.models.objects import ApplyReport
    from pilothouse.models.pipeline import duration
    from pilothouse.models.runs import DeploymentRequest
    from pilothouse.models.steps import ApplyRequest, HealthRequest, ObserveRequest

from workflows import options
from workflows.deploying.preparation import Prepared
from workflows.deploying.progress import Progress
from workflows.visibility import reason


async def apply(
    request: DeploymentRequest, prepared: Prepared, lease: LockAnswer, max_deletes: int
) -> ApplyReport:
    """Write what was decided on, under the lease's fencing number."""
    plan, environment = prepared.plan, prepared.environment
    wave = duration(environment.health_timeout)
    return await options.writing(wave)(
        ClusterActivities.apply_plan,
        ApplyRequest(
            content=prepared.bundle.content,
            plan=plan.digest,
            revision=request.revision,
            inventory=names.inventory_name(request.repository.slug, request.environment),
            fencing=lease.fencing,
            operation=workflow.info().workflow_id,
            prune=environment.prune,
            recreate=environment.recreate,
            take_back=environment.drift == "correct",
            ignore=environment.ignore,
            max_deletes=max_deletes,
            rehearsal=plan.rehearsal,
            checks=prepared.checks,
            wave_timeout_seconds=wave.total_seconds(),
        ),
        summary=f"apply plan {names.short(plan.digest)} under fencing number {lease.fencing}",
    )


async def await_health(prepared: Prepared, *, wrote: bool) -> HealthReport:
    """Watch until everything works, or cannot any more, or the environment's time is up."""
    limit = duration(prepared.environment.health_timeout)
    bundle = prepared.bundle
    return await options.watching(limit)(
        ClusterActivities.await_health,
        HealthRequest(
            content=bundle.content,
            timeout_seconds=limit.total_seconds(),
            checks=prepared.checks,
            settle_seconds=1.0 if wrote else 0.0,
        ),
        summary=f"wait until {bundle.objects} objects are healthy, at most {limit}",
    )


def why_unhealthy(health: HealthReport) -> str:
    """In one sentence, from the first diagnosis; else what it still waited for."""
    if health.diagnoses:
        return health.diagnoses[0].summary
    return f"still {health.status} after {health.seconds:.0f} s"


async def verify(request: DeploymentRequest, prepared: Prepared, progress: Progress) -> None:
    """Read back whether the cluster holds what was applied.

    A difference is said and is no failure: an autoscaler may have been quick.
    """
    message = progress.result.message
    try:
        seen = await options.CLUSTER_READ(
            ClusterActivities.observe_environment,
            ObserveRequest(
                namespace=prepared.environment.namespace,
                inventory=names.inventory_name(request.repository.slug, request.environment),
                checks=prepared.checks,
                ignore=prepared.environment.ignore,
            ),
            summary="read back whether the cluster holds the plan",
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        progress.update(message=f"{message}; not read back: {reason(error)}")
        return
    progress.update(drift=seen.drift)
    if seen.drift is not None and not seen.drift.clean:
        differ = ", ".join(str(each) for each in (*seen.drift.drifted, *seen.drift.missing)[:3])
        progress.update(message=f"{message}, but it differs already: {differ}")
