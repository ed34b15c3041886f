"""The stages of a run: what each role does in its turn."""

from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.schedules import ScheduleActivities
    from activities.workspace import WorkspaceActivities
    from pilothouse.gitops import triggers
    from pilothouse.models import names
    from pilothouse.models.findings import Finding, ValidationReport, report
    from pilothouse.models.pipeline import Agent, Pipeline, duration
    from pilothouse.models.repository import Snapshot
    from pilothouse.models.runs import (
        DeploymentRequest,
        DeploymentResult,
        MonitorRequest,
        MonitorResult,
        PipelineRequest,
        StageOutcome,
        StageReport,
        SupersedeClaim,
    )
    from pilothouse.models.steps import MonitorScheduleRequest, RenderRequest, TestRequest

from workflows import options

DEPLOYMENT_OUTCOMES: dict[str, StageOutcome] = {
    "deployed": "passed",
    "superseded": "superseded",
    "blocked": "blocked",
    "rejected": "blocked",
    "expired": "blocked",
    "on_hold": "blocked",
}


@dataclass
class Run:
    """What the stages of one run share."""

    request: PipelineRequest
    snapshot: Snapshot
    pipeline: Pipeline
    superseded: str = ""
    deploying: "workflow.ChildWorkflowHandle[object, DeploymentResult] | None" = None
    deployed: list[str] = field(default_factory=list)
    """Environments that took this revision."""

    @property
    def waits_in(self) -> str:
        """The workflow whose page says what is waited for now; empty if it is this one's."""
        return self.deploying.id if self.deploying is not None else ""

    async def supersede(self, claim: SupersedeClaim) -> None:
        """Stop before the next stage, and the deployment that runs now if it is not writing."""
        self.superseded = claim.by or "a newer revision"
        if self.deploying is not None:
            await self.deploying.signal(names.SIGNAL_SUPERSEDE, claim)


async def validate(run: Run, agent: str) -> list[StageReport]:
    """Render and check every environment; the same finding in two of them is said once."""
    findings: dict[Finding, Finding] = {}
    objects = omitted = 0
    for environment in run.pipeline.promotion_order():
        rendered = await options.WORKSPACE(
            WorkspaceActivities.render_and_validate,
            RenderRequest(snapshot=run.snapshot, pipeline=run.pipeline, environment=environment),
            summary=f"render and validate for {environment}",
        )
        namespace = run.pipeline.environments[environment].namespace
        for finding in rendered.report.findings:
            findings.setdefault(_anywhere(finding, namespace), finding)
        objects = max(objects, rendered.report.objects)
        omitted = max(omitted, rendered.report.omitted)
    summed = report(list(findings.values()), objects)
    validation = summed.model_copy(update={"omitted": summed.omitted + omitted})
    blocked = validation.verdict == "block"
    return [
        StageReport(
            agent=agent,
            outcome="blocked" if blocked else "passed",
            event="status.rejected" if blocked else "status.validated",
            summary=_sum_up(validation),
            validation=validation,
        )
    ]


def _anywhere(finding: Finding, namespace: str) -> Finding:
    """The finding without its environment's namespace: what makes two of them the same."""
    place = f"{namespace}/"
    return finding.model_copy(
        update={
            "object": finding.object.replace(place, ""),
            "message": finding.message.replace(place, ""),
        }
    )


def _sum_up(validation: ValidationReport) -> str:
    errors = sum(f.severity == "error" for f in validation.findings)
    warnings = sum(f.severity == "warning" for f in validation.findings)
    return f"{validation.objects} objects, {errors} errors, {warnings} warnings"


async def test(run: Run, agent: str) -> list[StageReport]:
    """Run the declared commands; a pull request's code is never run here."""
    declared: Agent = run.pipeline.agents[agent]
    if run.request.is_pull_request:
        summary = "a pull request's code is not run here: tests run once it is merged"
        return [StageReport(agent=agent, outcome="skipped", summary=summary)]
    if not declared.commands:
        return [
            StageReport(
                agent=agent,
                outcome="passed",
                event="status.tests_passed",
                summary="no commands are declared: nothing was tested",
            )
        ]
    each = duration(declared.timeout)
    tests = await options.testing(each * len(declared.commands))(
        WorkspaceActivities.run_tests,
        TestRequest(
            snapshot=run.snapshot,
            commands=declared.commands,
            timeout_seconds=each.total_seconds(),
        ),
        summary=f"run {len(declared.commands)} test commands",
    )
    last = tests.commands[-1]
    count = len(tests.commands)
    summary = f"{count} command{'s' if count > 1 else ''} passed"
    if not tests.passed:
        how = "ran out of time" if last.timed_out else f"exit {last.exit_code}"
        summary = f"`{last.command}` failed: {how}"
    return [
        StageReport(
            agent=agent,
            outcome="passed" if tests.passed else "failed",
            event="status.tests_passed" if tests.passed else "status.tests_failed",
            summary=summary,
            tests=tests,
        )
    ]


async def deploy(run: Run, agent: str) -> list[StageReport]:
    """Promote the revision through the environments; one report for each that was tried."""
    if run.request.is_pull_request:
        summary = "a pull request is never deployed"
        return [StageReport(agent=agent, outcome="skipped", summary=summary)]
    if not run.pipeline.environments:
        summary = "the pipeline file declares no environment"
        return [StageReport(agent=agent, outcome="skipped", summary=summary)]
    reports: list[StageReport] = []
    for environment in run.pipeline.promotion_order():
        after = run.pipeline.environments[environment].after
        if run.superseded or (after is not None and after not in run.deployed):
            continue
        result = await _deploy_one(run, environment, run.request.revision)
        reports.append(_deployment_report(agent, environment, result))
        if result.outcome == "deployed":
            run.deployed.append(environment)
            continue
        if result.rollback is not None and result.rollback.revert_commit:
            reports += await _converge(run, agent, result.rollback.revert_commit)
        break
    passed = all(each.outcome == "passed" for each in reports)
    events = {each.event for each in reports}
    bad = "status.rolled_back" if "status.rolled_back" in events else "status.deploy_failed"
    event = "status.deployed" if passed else bad
    return [each.model_copy(update={"event": event}) for each in reports]


async def _converge(run: Run, agent: str, revert: str) -> list[StageReport]:
    """The branch says the revert now: environments that took the bad revision follow it.

    By their own policy: what was good in the failed environment need not have been good there.
    """
    reports = []
    for environment in list(run.deployed):
        result = await _deploy_one(run, environment, revert)
        reports.append(_deployment_report(agent, environment, result))
        run.deployed.remove(environment)
    return reports


async def _deploy_one(run: Run, environment: str, revision: str) -> DeploymentResult:
    slug = run.request.repository.slug
    started = workflow.now()
    try:
        run.deploying = await workflow.start_child_workflow(
            names.DEPLOYMENT_WORKFLOW,
            DeploymentRequest(
                repository=run.request.repository,
                revision=revision,
                environment=environment,
                run=workflow.info().workflow_id,
            ),
            id=names.deployment_id(slug, environment, revision),
            result_type=DeploymentResult,
            parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
            static_summary=f"{names.short(revision)} to {environment}",
        )
        return await run.deploying
    except WorkflowAlreadyStartedError as error:
        message = f"another run deploys the same revision there: see {error.workflow_id}"
        return DeploymentResult(
            outcome="failed", environment=environment, revision=revision, message=message
        )
    except ChildWorkflowError as error:
        took: timedelta = workflow.now() - started
        return DeploymentResult(
            outcome="failed",
            environment=environment,
            revision=revision,
            message=f"the deployment ended without a result: {error.cause or error}",
            seconds=took.total_seconds(),
        )
    finally:
        run.deploying = None


def _deployment_report(agent: str, environment: str, result: DeploymentResult) -> StageReport:
    events = {"deployed": "status.deployed", "rolled_back": "status.rolled_back"}
    return StageReport(
        agent=agent,
        environment=environment,
        outcome=DEPLOYMENT_OUTCOMES.get(result.outcome, "failed"),
        event=events.get(result.outcome, "status.deploy_failed"),
        seconds=result.seconds,
        summary=f"{result.outcome}: {result.message}",
        deployment=result.model_copy(update={"report": ""}),
    )


async def monitor(run: Run, agent: str) -> list[StageReport]:
    """Look once at each environment that was deployed, and see to its schedule."""
    reports = []
    for environment in run.deployed:
        namespace = run.pipeline.environments[environment].namespace
        repository = run.request.repository
        look: MonitorResult = await workflow.execute_child_workflow(
            names.MONITOR_WORKFLOW,
            MonitorRequest(
                repository=repository,
                environment=environment,
                namespace=namespace,
                trigger="deployment",
            ),
            id=names.monitor_id(repository.slug, environment, run.request.revision),
            result_type=MonitorResult,
            static_summary=f"look at {environment} after its deployment",
        )
        for trigger in triggers.cron_triggers(run.pipeline)[:1]:
            await options.WORKSPACE(
                ScheduleActivities.ensure_monitor_schedule,
                MonitorScheduleRequest(
                    repository=repository,
                    environment=environment,
                    namespace=namespace,
                    trigger=trigger,
                ),
                summary=f"look at {environment} every {trigger.removeprefix('cron.')}",
            )
        healthy = look.verdict == "healthy"
        reports.append(
            StageReport(
                agent=agent,
                environment=environment,
                outcome="passed" if healthy else "failed",
                event="status.healthy" if healthy else "status.degraded",
                summary=look.message,
            )
        )
    return reports


async def consult(run: Run, agent: str) -> list[StageReport]:
    """A general agent: without a model there is nothing that it could say."""
    declared = run.pipeline.agents[agent]
    event = declared.emits[0] if declared.emits else f"{agent.replace('-', '_')}_passed"
    return [
        StageReport(
            agent=agent,
            outcome="skipped",
            event=f"status.{event}",
            summary="no model is configured: this agent had nothing to say",
        )
    ]
