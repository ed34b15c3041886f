"""One look at one environment: health and drift."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.cluster import ClusterActivities
    from activities.git import GitActivities
    from activities.workspace import WorkspaceActivities
    from pilothouse.gitops.reports import monitor_report
    from pilothouse.models import names
    from pilothouse.models.environment import Observation
    from pilothouse.models.runs import MonitorRequest, MonitorResult
    from pilothouse.models.steps import (
        HeadRequest,
        ObserveRequest,
        ObserveResult,
        SnapshotRequest,
    )

from workflows import options
from workflows.visibility import publish, reason


@workflow.defn(name=names.MONITOR_WORKFLOW)
class MonitorWorkflow:
    """Looks once at what the inventory says is deployed, and tells the environment.

    Id: `monitor/<host>/<path>/<environment>/<look>`; a Schedule appends the time itself. It writes
    nothing to the cluster: drift is reported, recovery goes through the deployment path.
    """

    @workflow.run
    async def run(self, request: MonitorRequest) -> MonitorResult:
        """Look, judge, tell."""
        publish(repository=request.repository.slug, environment=request.environment)
        workflow.set_current_details(f"looking at **{request.environment}**")
        try:
            result = self._judge(await self._look(request))
        except (ActivityError, ApplicationError) as error:
            result = MonitorResult(verdict="unknown", message=reason(error))
        result = result.model_copy(update={"report": monitor_report(request, result)})
        workflow.set_current_details(result.report)
        publish(phase="done", outcome=result.verdict, revision=result.revision)
        await self._tell(request, result)
        return result

    async def _look(self, request: MonitorRequest) -> ObserveResult:
        namespace = request.namespace or await self._namespace(request)
        return await options.CLUSTER_READ(
            ClusterActivities.observe_environment,
            ObserveRequest(
                namespace=namespace,
                inventory=names.inventory_name(request.repository.slug, request.environment),
            ),
            summary=f"read health and drift in {namespace}",
        )

    async def _namespace(self, request: MonitorRequest) -> str:
        """Started by hand: the pipeline file at the default branch's head knows."""
        repository = request.repository
        head = await options.GIT_LOOK(
            GitActivities.read_head,
            HeadRequest(repository=repository, ref=repository.default_ref),
            summary=f"read the head of {repository.default_branch}",
        )
        if not head.revision:
            raise ApplicationError(
                f"the branch {repository.default_branch} does not exist",
                type="RevisionNotFound",
                non_retryable=True,
            )
        snapshot = await options.GIT(
            GitActivities.take_snapshot,
            SnapshotRequest(repository=repository, revision=head.revision),
            summary="read the repository",
        )
        load = await options.WORKSPACE(
            WorkspaceActivities.load_pipeline,
            snapshot,
            summary="read the pipeline file",
        )
        environments = load.pipeline.environments if load.pipeline else {}
        environment = environments.get(request.environment)
        if environment is None:
            raise ApplicationError(
                f"the pipeline file of {repository.default_branch} has no environment "
                f"{request.environment!r}",
                type="InvalidRequest",
                non_retryable=True,
            )
        return environment.namespace

    def _judge(self, seen: ObserveResult) -> MonitorResult:
        if not seen.deployed or seen.health is None:
            return MonitorResult(verdict="unknown", message="nothing is deployed here yet")
        clean = seen.drift is None or seen.drift.clean
        healthy = seen.health.healthy and clean
        parts = [f"{seen.health.objects} objects {seen.health.status}"]
        if seen.drift is None:
            parts.append("drift unknown: the deployed bundle is not in this content store")
        elif not clean:
            parts.append(f"{len(seen.drift.drifted)} drifted, {len(seen.drift.missing)} missing")
        return MonitorResult(
            verdict="healthy" if healthy else "degraded",
            revision=seen.revision,
            health=seen.health,
            drift=seen.drift,
            message="; ".join(parts),
        )

    async def _tell(self, request: MonitorRequest, result: MonitorResult) -> None:
        drift = result.drift
        observation = Observation(
            at=workflow.now().isoformat(),
            status=result.verdict,
            drifted=len(drift.drifted) + len(drift.missing) if drift else 0,
            summary=result.message,
        )
        entity = names.environment_id(request.repository.slug, request.environment)
        try:
            handle = workflow.get_external_workflow_handle(entity)
            await handle.signal(names.SIGNAL_RECORD_OBSERVATION, observation)
        except FailureError:
            workflow.logger.info("nothing was deployed through us here: nobody to tell")
