"""One look at one environment: health and drift."""

from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.cluster import ClusterActivities
    from activities.git import GitActivities
    from activities.workspace import WorkspaceActivities
    from pilothouse.gitops.reports import monitor_report
    from pilothouse.gitops.reports.agents import advice_line
    from pilothouse.models import names
    from pilothouse.models.environment import Observation
    from pilothouse.models.findings import Verdict
    from pilothouse.models.health import DriftReport
    from pilothouse.models.material import MaterialRequest
    from pilothouse.models.pipeline import Environment, HealthCheck
    from pilothouse.models.runs import MonitorRequest, MonitorResult
    from pilothouse.models.steps import (
        HeadRequest,
        ObserveRequest,
        ObserveResult,
        SnapshotRequest,
    )

from workflows import options
from workflows.advice import consult
from workflows.visibility import publish, reason, started_by_us

MAX_DIFFERENCES = 100


@dataclass(frozen=True)
class Policy:
    """What the pipeline file says of an environment, as far as looking is concerned."""

    environment: Environment
    checks: tuple[HealthCheck, ...]


@workflow.defn(name=names.MONITOR_WORKFLOW)
class MonitorWorkflow:
    """Looks once at what the inventory says is deployed, and tells the environment.

    Id: `monitor/<host>/<path>/<environment>/<look>`; a Schedule appends the time itself. It writes
    nothing to the cluster: where drift is to be put back, the environment sees to that, through
    the deployment path.
    """

    @workflow.run
    async def run(self, request: MonitorRequest) -> MonitorResult:
        """Look, judge, tell."""
        publish(repository=request.repository.slug, environment=request.environment)
        workflow.set_current_details(f"looking at **{request.environment}**")
        correct = False
        try:
            policy = await self._policy(request)
            correct = policy.environment.drift == "correct"
            result = self._judge(await self._look(request, policy))
            result = await self._advised(request, result)
        except (ActivityError, ApplicationError) as error:
            result = MonitorResult(verdict="unknown", message=reason(error))
        result = result.model_copy(update={"report": monitor_report(request, result)})
        workflow.set_current_details(result.report)
        publish(phase="done", outcome=result.verdict, revision=result.revision)
        await self._tell(request, result, correct)
        return result

    async def _look(self, request: MonitorRequest, policy: Policy) -> ObserveResult:
        namespace = policy.environment.namespace
        return await options.CLUSTER_READ(
            ClusterActivities.observe_environment,
            ObserveRequest(
                namespace=namespace,
                inventory=names.inventory_name(request.repository.slug, request.environment),
                checks=policy.checks,
                ignore=policy.environment.ignore,
            ),
            summary=f"read health and drift in {namespace}",
        )

    async def _advised(self, request: MonitorRequest, result: MonitorResult) -> MonitorResult:
        """The look with what the monitor's model says of it: never better than before."""
        if request.agent is None or result.health is None or not started_by_us():
            return result
        rules: Verdict = "pass" if result.verdict == "healthy" else "review"
        advice = await consult(
            request.agent.model_copy(update={"rules": rules}),
            MaterialRequest(health=result.health, drift=result.drift),
            superseded=lambda: "",
        )
        return result.model_copy(
            update={
                "advice": advice,
                "verdict": "degraded" if advice.verdict == "block" else result.verdict,
                "message": f"{result.message}; {advice_line(advice)}",
            }
        )

    async def _policy(self, request: MonitorRequest) -> Policy:
        """From the request; started by hand, from the default branch's head."""
        if request.policy is not None:
            return Policy(request.policy, request.health_checks)
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
        pipeline = load.pipeline
        if pipeline is None or request.environment not in pipeline.environments:
            raise ApplicationError(
                f"the pipeline file of {repository.default_branch} has no environment "
                f"{request.environment!r}",
                type="InvalidRequest",
                non_retryable=True,
            )
        return Policy(pipeline.environments[request.environment], pipeline.health_checks)

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
            parts += _differences(seen.drift)[:3]
        return MonitorResult(
            verdict="healthy" if healthy else "degraded",
            revision=seen.revision,
            health=seen.health,
            drift=seen.drift,
            message="; ".join(parts),
        )

    async def _tell(self, request: MonitorRequest, result: MonitorResult, correct: bool) -> None:
        drift = result.drift or DriftReport()
        observation = Observation(
            at=workflow.now().isoformat(),
            status=result.verdict,
            drifted=len(drift.drifted) + len(drift.missing),
            summary=result.message,
            revision=result.revision,
            differences=_differences(drift),
            correct=correct,
        )
        entity = names.environment_id(request.repository.slug, request.environment)
        try:
            handle = workflow.get_external_workflow_handle(entity)
            await handle.signal(names.SIGNAL_RECORD_OBSERVATION, observation)
        except FailureError:
            workflow.logger.info("nothing was deployed through us here: nobody to tell")


def _differences(drift: DriftReport) -> tuple[str, ...]:
    """Each field that drifted and each object that is gone, in words that stay the same."""
    fields = {
        f"{each}: {pointer}" if pointer else str(each)
        for each in drift.drifted
        for pointer in drift.fields.get(str(each), ("",))
    }
    gone = {f"{each} is gone" for each in drift.missing}
    return tuple(sorted(fields | gone)[:MAX_DIFFERENCES])
