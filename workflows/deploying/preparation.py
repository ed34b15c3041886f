"""The part of a deployment that only reads: snapshot, environment, bundle, plan."""

from collections.abc import Callable
from dataclasses import dataclass

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.cluster import ClusterActivities
    from activities.git import GitActivities
    from activities.workspace import WorkspaceActivities
    from pilothouse.models import names
    from pilothouse.models.objects import Plan, RenderedBundle
    from pilothouse.models.pipeline import Environment, HealthCheck, Pipeline
    from pilothouse.models.repository import Snapshot
    from pilothouse.models.runs import DeploymentRequest
    from pilothouse.models.steps import PlanRequest, RenderRequest, SnapshotRequest

from workflows import options
from workflows.deploying.ending import Ended
from workflows.deploying.order import stop_if_not_promoted
from workflows.visibility import started_by_us

Update = Callable[..., None]
"""Keeps fields of the `DeploymentResult` as they become known."""


@dataclass(frozen=True)
class Prepared:
    """Everything that is decided on."""

    snapshot: Snapshot
    pipeline: Pipeline
    environment: Environment
    bundle: RenderedBundle
    plan: Plan

    @property
    def checks(self) -> tuple[HealthCheck, ...]:
        """How custom resources are judged."""
        return self.pipeline.health_checks


async def prepare(request: DeploymentRequest, update: Update) -> Prepared:
    """Read the revision, render and validate it, and plan it against the cluster.

    Raises:
        Ended: `blocked`, with what a person must change.
        ActivityError: what could not be read.
    """
    _stop_if_claimed(request)
    snapshot = request.snapshot or await _snapshot(request)
    update(commit=snapshot.commit)
    pipeline = await _pipeline(snapshot)
    environment = pipeline.environments.get(request.environment)
    if environment is None:
        known = ", ".join(pipeline.environments) or "none"
        raise Ended(
            "blocked",
            f"the pipeline file has no environment {request.environment!r} (it has: {known})",
        )
    await stop_if_not_promoted(request, environment.after)
    bundle = await _bundle(request, snapshot, pipeline, update)
    plan = await _plan(request, bundle, environment, update)
    return Prepared(snapshot, pipeline, environment, bundle, plan)


def _stop_if_claimed(request: DeploymentRequest) -> None:
    """What skips an approval or brings its own lock comes from a workflow of ours only."""
    given = (request.restore, request.lease, request.snapshot)
    ours = request.restores or any(each is not None for each in given)
    if ours and not started_by_us():
        raise Ended(
            "blocked", "rollback, correction, lease and snapshot are not for requests by hand"
        )
    if request.force and not (request.by.strip() and request.why.strip()):
        raise Ended("blocked", 'to force a deployment, say who and why: "by" and "why"')


async def _snapshot(request: DeploymentRequest) -> Snapshot:
    return await options.GIT(
        GitActivities.take_snapshot,
        SnapshotRequest(repository=request.repository, revision=request.revision),
        summary=f"read {names.short(request.revision)} from Git",
    )


async def _pipeline(snapshot: Snapshot) -> Pipeline:
    load = await options.WORKSPACE(
        WorkspaceActivities.load_pipeline, snapshot, summary="read the pipeline file"
    )
    if load.pipeline is None:
        problems = "; ".join(f"{f.file}:{f.line}: {f.message}" for f in load.findings[:5])
        raise Ended("blocked", f"the pipeline file is not usable: {problems}")
    return load.pipeline


async def _bundle(
    request: DeploymentRequest, snapshot: Snapshot, pipeline: Pipeline, update: Update
) -> RenderedBundle:
    """What the revision renders to; for a rollback or a correction, what was good, exactly."""
    if request.correction and request.restore is not None:
        return request.restore
    rendered = await options.WORKSPACE(
        WorkspaceActivities.render_and_validate,
        RenderRequest(snapshot=snapshot, pipeline=pipeline, environment=request.environment),
        summary=f"render and validate for {request.environment}",
    )
    update(validation=rendered.report)
    bundle, expected = rendered.bundle, request.expected_plan
    if bundle is not None and expected in {"", bundle.digest}:
        return bundle
    if request.restore is not None:
        # A tag that moved, an exception that expired, a policy that changed: what is put back is
        # what was healthy, not what Git would make of it today.
        revision, plan = names.short(request.revision), names.short(expected)
        update(
            remark=f"{revision} does not render to the plan that was healthy any more, so plan "
            f"{plan} is deployed as it was stored"
        )
        return request.restore
    if bundle is not None:
        made, wanted = names.short(bundle.digest), names.short(expected)
        raise Ended("blocked", f"the plan is {made}, but the one that was healthy is {wanted}")
    count = sum(f.severity == "error" for f in rendered.report.findings)
    raise Ended("blocked", f"validation found {count} errors")


async def _plan(
    request: DeploymentRequest,
    bundle: RenderedBundle,
    environment: Environment,
    update: Update,
) -> Plan:
    plan = await options.CLUSTER_READ(
        ClusterActivities.plan_deployment,
        PlanRequest(
            content=bundle.content,
            revision=request.revision,
            inventory=names.inventory_name(request.repository.slug, request.environment),
            prune=environment.prune,
            recreate=environment.recreate,
            take_back=environment.drift == "correct",
            ignore=environment.ignore,
        ),
        summary=f"dry-run {bundle.objects} objects and diff them with the cluster",
    )
    update(plan=plan)
    if refused := [f for f in plan.findings if f.severity == "error"]:
        first = refused[0]
        raise Ended(
            "blocked",
            f"the cluster refuses {len(refused)} objects in its dry-run; first "
            f"{first.object} ({first.file}:{first.line}): {first.message}",
        )
    return plan
