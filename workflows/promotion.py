"""The deployer's stage: one revision through the environments, in their order."""

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from pilothouse.models import names
    from pilothouse.models.runs import (
        DeploymentRequest,
        DeploymentResult,
        StageOutcome,
        StageReport,
    )

from workflows.run import Run

DEPLOYMENT_OUTCOMES: dict[str, StageOutcome] = {
    "deployed": "passed",
    "superseded": "superseded",
    "blocked": "blocked",
    "rejected": "blocked",
    "expired": "blocked",
    "on_hold": "blocked",
}
MAX_REASON = 500
"""Characters of why a person is asked."""


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
        run.heed(agent, result.advice)
        if result.outcome == "deployed":
            run.deployed.append(environment)
            continue
        if result.rollback is not None and result.rollback.revert_commit:
            reports += await _converge(run, agent, result.rollback.revert_commit)
        break
    event = _event(reports)
    return [each.model_copy(update={"event": event}) for each in reports]


def _event(reports: list[StageReport]) -> str:
    """What the stage emits as a whole; nothing if a newer revision goes on in its place."""
    if all(each.outcome == "passed" for each in reports):
        return "status.deployed"
    events = {each.event for each in reports}
    if "status.rolled_back" in events:
        return "status.rolled_back"
    superseded = any(each.outcome == "superseded" for each in reports)
    return "" if superseded else "status.deploy_failed"


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
                snapshot=run.snapshot if run.snapshot.revision == revision else None,
                ask="; ".join(run.needs_human)[:MAX_REASON],
            ),
            id=names.deployment_id(slug, environment, revision),
            result_type=DeploymentResult,
            parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
            static_summary=f"{names.short(revision)} to {environment}",
        )
        run.show()
        return await run.deploying
    except WorkflowAlreadyStartedError as error:
        message = f"another run deploys the same revision there: see {error.workflow_id}"
        return DeploymentResult(
            outcome="failed", environment=environment, revision=revision, message=message
        )
    except ChildWorkflowError as error:
        return DeploymentResult(
            outcome="failed",
            environment=environment,
            revision=revision,
            message=f"the deployment ended without a result: {error.cause or error}",
            seconds=(workflow.now() - started).total_seconds(),
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
