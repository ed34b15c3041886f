"""The stages of a run: what each role does in its turn."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.schedules import ScheduleActivities
    from activities.workspace import WorkspaceActivities
    from pilothouse.gitops import triggers
    from pilothouse.models import names
    from pilothouse.models.findings import Finding, ValidationReport, report
    from pilothouse.models.pipeline import Agent, duration
    from pilothouse.models.runs import MonitorRequest, MonitorResult, StageReport
    from pilothouse.models.steps import MonitorScheduleRequest, RenderRequest, TestRequest

from workflows import options
from workflows.run import Run

TESTS_TASK = (
    "Say what the results of the tests mean. If a failure looks like chance, say why; it stays a "
    "failure."
)


async def validate(run: Run, agent: str) -> list[StageReport]:
    """Rules first, on every environment; then the model on what rules cannot see."""
    validation = run.validation = await _check(run)
    blocked = validation.verdict == "block"
    ruled = StageReport(
        agent=agent,
        outcome="blocked" if blocked else "passed",
        event="status.rejected" if blocked else "status.validated",
        summary=_sum_up(validation),
        validation=validation,
    )
    show = run.known().model_copy(update={"validation": validation})
    task = run.task_for(agent, validation.verdict)
    return [await run.advised(ruled, task, show, against="status.rejected")]


async def _check(run: Run) -> ValidationReport:
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
        if rendered.bundle is not None:
            run.bundles[environment] = rendered.bundle.content
        objects = max(objects, rendered.report.objects)
        omitted = max(omitted, rendered.report.omitted)
    summed = report(list(findings.values()), objects)
    return summed.model_copy(update={"omitted": summed.omitted + omitted})


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
    """Run the declared commands, then ask the model; a pull request's code is never run here."""
    if run.request.is_pull_request:
        summary = "a pull request's code is not run here: tests run once it is merged"
        return [StageReport(agent=agent, outcome="skipped", summary=summary)]
    ruled = await _run_commands(run, agent)
    task = run.task_for(agent, "pass" if ruled.outcome == "passed" else "block", TESTS_TASK)
    show = run.known().model_copy(update={"tests": ruled.tests})
    return [await run.advised(ruled, task, show, against="status.tests_failed")]


async def _run_commands(run: Run, agent: str) -> StageReport:
    declared: Agent = run.pipeline.agents[agent]
    if not declared.commands:
        return StageReport(
            agent=agent,
            outcome="passed",
            event="status.tests_passed",
            summary="no commands are declared: nothing was tested",
        )
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
    return StageReport(
        agent=agent,
        outcome="passed" if tests.passed else "failed",
        event="status.tests_passed" if tests.passed else "status.tests_failed",
        summary=summary,
        tests=tests,
    )


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
                agent=run.task_for(agent) if run.pipeline.agents[agent].model else None,
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
        run.heed(agent, look.advice)
        healthy = look.verdict == "healthy"
        reports.append(
            StageReport(
                agent=agent,
                environment=environment,
                outcome="passed" if healthy else "failed",
                event="status.healthy" if healthy else "status.degraded",
                summary=look.message,
                advice=look.advice,
            )
        )
    return reports


async def consult(run: Run, agent: str) -> list[StageReport]:
    """A general agent: all of its stage is what its model says."""
    good, *bad = (f"status.{event}" for event in triggers.emitted_events(run.pipeline, agent))
    task = run.task_for(agent)
    if not task.spec.model:
        summary = "no model is configured: this agent had nothing to say"
        return [StageReport(agent=agent, outcome="skipped", event=good, summary=summary)]
    ruled = StageReport(agent=agent, outcome="passed", event=good, summary="no rules of its own")
    show = run.known().model_copy(update={"validation": run.validation})
    return [await run.advised(ruled, task, show, against=bad[0] if bad else "")]
