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
    from pilothouse.models.pipeline import Environment, Pipeline
    from pilothouse.models.repository import Snapshot
    from pilothouse.models.runs import DeploymentOutcome, DeploymentRequest
    from pilothouse.models.steps import PlanRequest, RenderRequest, SnapshotRequest

from workflows import options

Update = Callable[..., None]
"""Keeps fields of the `DeploymentResult` as they become known."""


class Ended(Exception):
    """The deployment is over, early or not, with this outcome."""

    def __init__(self, outcome: DeploymentOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome: DeploymentOutcome = outcome


@dataclass(frozen=True)
class Prepared:
    """Everything that is decided on."""

    snapshot: Snapshot
    environment: Environment
    bundle: RenderedBundle
    plan: Plan


async def prepare(request: DeploymentRequest, update: Update) -> Prepared:
    """Read the revision, render and validate it, and plan it against the cluster.

    Raises:
        Ended: `blocked`, with what a person must change.
        ActivityError: what could not be read.
    """
    snapshot = await options.GIT(
        GitActivities.take_snapshot,
        SnapshotRequest(repository=request.repository, revision=request.revision),
        summary=f"read {names.short(request.revision)} from Git",
    )
    update(commit=snapshot.commit)
    pipeline = await _pipeline(snapshot)
    environment = pipeline.environments.get(request.environment)
    if environment is None:
        known = ", ".join(pipeline.environments) or "none"
        raise Ended(
            "blocked",
            f"the pipeline file has no environment {request.environment!r} (it has: {known})",
        )
    bundle = await _render(request, snapshot, pipeline, update)
    plan = await _plan(request, bundle, environment, update)
    return Prepared(snapshot, environment, bundle, plan)


async def _pipeline(snapshot: Snapshot) -> Pipeline:
    load = await options.WORKSPACE(
        WorkspaceActivities.load_pipeline, snapshot, summary="read the pipeline file"
    )
    if load.pipeline is None:
        problems = "; ".join(f"{f.file}:{f.line}: {f.message}" for f in load.findings[:5])
        raise Ended("blocked", f"the pipeline file is not usable: {problems}")
    return load.pipeline


async def _render(
    request: DeploymentRequest, snapshot: Snapshot, pipeline: Pipeline, update: Update
) -> RenderedBundle:
    rendered = await options.WORKSPACE(
        WorkspaceActivities.render_and_validate,
        RenderRequest(snapshot=snapshot, pipeline=pipeline, environment=request.environment),
        summary=f"render and validate for {request.environment}",
    )
    update(validation=rendered.report)
    if rendered.bundle is None:
        count = sum(f.severity == "error" for f in rendered.report.findings)
        raise Ended("blocked", f"validation found {count} errors")
    return rendered.bundle


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
    expected = request.expected_plan
    if expected and plan.digest != expected:
        raise Ended(
            "blocked",
            f"the plan is {names.short(plan.digest)}, but the one that was healthy is "
            f"{names.short(expected)}",
        )
    return plan
