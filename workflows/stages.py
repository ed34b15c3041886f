"""The stages of a run: what each role does in its turn."""

from dataclasses import dataclass, field

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.schedules import ScheduleActivities
    from activities.workspace import WorkspaceActivities
    from pilothouse.gitops import triggers
    from pilothouse.models import names
    from pilothouse.models.findings import Finding, ValidationReport, report
    from pilothouse.models.pipeline import Agent, Pipeline, duration
    from pilothouse.models.repository import Snapshot
    from pilothouse.models.runs import (
        DeploymentResult,
        MonitorRequest,
        MonitorResult,
        PipelineRequest,
        StageReport,
        SupersedeClaim,
    )
    from pilothouse.models.steps import MonitorScheduleRequest, RenderRequest, TestRequest

from workflows import options


@dataclass
class Run:
    """What the stages of one run share."""

    request: PipelineRequest
    snapshot: Snapshot
    pipeline: Pipeline
    governing: Snapshot
    """Whose pipeline file and policies count: the snapshot's own, or a pull request's base's."""
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
            RenderRequest(
                snapshot=run.snapshot,
                pipeline=run.pipeline,
                environment=environment,
                policies_from=run.governing,
            ),
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


async def monitor(run: Run, agent: str) -> list[StageReport]:
    """Look once at each environment that was deployed, and see to its schedule."""
    reports = []
    for environment in run.deployed:
        policy, checks = run.pipeline.environments[environment], run.pipeline.health_checks
        repository = run.request.repository
        look: MonitorResult = await workflow.execute_child_workflow(
            names.MONITOR_WORKFLOW,
            MonitorRequest(
                repository=repository,
                environment=environment,
                policy=policy,
                health_checks=checks,
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
                    policy=policy,
                    health_checks=checks,
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
