"""The pages of runs: pipeline, deployment, rollback, one look."""

from collections.abc import Sequence
from datetime import datetime

from pilothouse.gitops.reports.agents import advice_of, advice_section
from pilothouse.gitops.reports.commands import approve_line, reject_line, resume_line
from pilothouse.gitops.reports.markdown import block, bullets, code, paragraphs, plain, table
from pilothouse.models import names
from pilothouse.models.environment import Decision
from pilothouse.models.findings import Finding
from pilothouse.models.health import Diagnosis
from pilothouse.models.names import short
from pilothouse.models.objects import Plan
from pilothouse.models.repository import Commit
from pilothouse.models.runs import (
    DeploymentResult,
    MonitorRequest,
    MonitorResult,
    PipelineResult,
    RollbackRequest,
    RollbackResult,
)

MAX_ROWS = 15


def pipeline_report(
    result: PipelineResult,
    turn: str,
    waits_in: str,
    notices: Sequence[str],
    awaited: str = "",
) -> str:
    """A run: whose turn it is and what that waits for, or how it ended; stage by stage."""
    what = f"{plain(result.event)} {code(short(result.revision))}"
    headline = f"{what}: **{turn}** has its turn" if turn else f"{what}: **{result.outcome}**"
    if turn and waits_in:
        headline += f"; what it does or waits for stands in {code(waits_in)}"
    if turn and awaited:
        headline += f"; it {awaited}"
    stages = table(
        ("stage", "environment", "outcome", "took", "what"),
        [
            (
                plain(stage.agent),
                plain(stage.environment),
                stage.outcome,
                f"{stage.seconds:.1f}\u00a0s",
                plain(stage.summary),
            )
            for stage in result.stages
        ],
    )
    findings = [
        finding
        for stage in result.stages
        if stage.validation is not None
        for finding in stage.validation.findings
    ]
    recorded = f"Recorded in {code(short(result.status_commit))}." if result.status_commit else ""
    return paragraphs(
        headline,
        stages if result.stages else "",
        *(advice_section(stage.agent, advice_of(stage)) for stage in result.stages),
        findings_table(findings),
        plain(result.message),
        recorded,
        bullets(plain(notice) for notice in notices[-5:]),
    )


def deployment_report(
    phase: str,
    result: DeploymentResult,
    notices: Sequence[str],
    deadline: datetime | None = None,
) -> str:
    """A deployment: what it does or how it ended, the plan, the decision it needs, the evidence."""
    what = f"{code(short(result.revision))} to **{plain(result.environment)}**"
    headline = f"{what}: {phase}"
    if phase == "done":
        headline = f"{what}: **{result.outcome}**; {plain(result.message)}"
    question = ""
    if phase == "approval" and result.plan is not None:
        question = _question(result, result.plan, deadline)
    findings = list(result.validation.findings) if result.validation else []
    if result.plan is not None and not result.plan.review:
        findings += result.plan.findings
    return paragraphs(
        headline,
        _commit(result.commit) if result.commit else "",
        question,
        advice_section("deployer", result.advice),
        _plan(result.plan) if result.plan else "",
        _decision(result.decision) if result.decision else "",
        findings_table(findings),
        _diagnosis(result.diagnosis) if result.diagnosis else "",
        _after_rollback(result) if result.rollback else "",
        bullets(plain(notice) for notice in notices[-5:]),
    )


def _commit(commit: Commit) -> str:
    return f"Commit by {plain(commit.author_name, 60)}: {plain(commit.subject, 120)}"


def _decision(decision: Decision) -> str:
    word = "Approved" if decision.approved else "Rejected"
    because = f": {plain(decision.reason)}" if decision.reason else ""
    return f"{word} by {plain(decision.by)}{because}."


def _question(result: DeploymentResult, plan: Plan, deadline: datetime | None) -> str:
    workflow_id = result.deployment
    until = f" until {deadline:%Y-%m-%d %H:%M} UTC" if deadline else ""
    because = f": {plain(result.asked)}" if result.asked else ""
    return paragraphs(
        f"**Waits for a person**{until}{because}. Plan {code(short(plan.digest))}. To approve:",
        block(approve_line(workflow_id, plan.digest)),
        "To reject:",
        block(reject_line(workflow_id, plan.digest)),
    )


def _plan(plan: Plan) -> str:
    """The plan's own review; its sum alone where an older worker made none."""
    counts = ", ".join(f"{count} {action}" for action, count in plan.counts.items() if count)
    return plan.review or f"Plan {code(short(plan.digest))}: {counts or 'nothing to do'}."


def _after_rollback(result: DeploymentResult) -> str:
    repository = names.parse_deployment_id(result.deployment).slug if result.deployment else ""
    environment = names.environment_id(repository, result.environment)
    return paragraphs(
        "The environment is on hold: a newer revision that becomes healthy lifts it. To try this "
        "revision again, resume first:",
        block(resume_line(environment)),
    )


def findings_table(findings: Sequence[Finding]) -> str:
    """Errors and warnings with place and advice; empty without any."""
    shown = [finding for finding in findings if finding.severity != "info"]
    rows = [
        (
            finding.severity,
            plain(f"{finding.file}:{finding.line}" if finding.line else finding.file),
            plain(finding.object),
            plain(finding.message),
            plain(finding.fix),
        )
        for finding in shown[:MAX_ROWS]
    ]
    more = f"and {len(shown) - MAX_ROWS} more" if len(shown) > MAX_ROWS else ""
    head = ("severity", "place", "object", "what", "what to do")
    return paragraphs(table(head, rows), more) if rows else ""


def _diagnosis(diagnosis: Diagnosis) -> str:
    return paragraphs(
        f"Cause: **{diagnosis.cause}**. {plain(diagnosis.summary)}",
        bullets(f"{e.kind} of {plain(e.source)}: {plain(e.text)}" for e in diagnosis.evidence[:5]),
    )


def rollback_report(phase: str, request: RollbackRequest, result: RollbackResult) -> str:
    """A rollback: from what to what, through which commit, and how to go on."""
    environment = names.environment_id(request.repository.slug, request.environment)
    headline = f"Rollback of **{plain(request.environment)}**: {phase}"
    if phase == "done":
        headline = f"Rollback of **{plain(request.environment)}**: **{result.outcome}**"
    rows = [
        ("bad", code(short(result.bad_revision))),
        ("good", code(short(result.to_revision))),
        ("revert commit", code(short(result.revert_commit))),
        ("why", plain(request.reason)),
    ]
    return paragraphs(
        headline,
        table(("", ""), [row for row in rows if row[1]]),
        plain(result.message),
        "The environment is on hold. To resume:" if result.to_revision else "",
        block(resume_line(environment)) if result.to_revision else "",
    )


def monitor_report(request: MonitorRequest, result: MonitorResult) -> str:
    """One look: verdict, what is not healthy, what drifted."""
    waiting = result.health.waiting_for if result.health else ()
    drifted = [*result.drift.drifted, *result.drift.missing] if result.drift else []
    diagnoses = result.health.diagnoses if result.health else ()
    return paragraphs(
        f"**{plain(request.environment)}**: **{result.verdict}**; {plain(result.message)}",
        bullets(
            f"{plain(str(each.object))}: {each.status}, {plain(each.message)}"
            for each in waiting[:MAX_ROWS]
        ),
        bullets(f"drift: {plain(str(each))}" for each in drifted[:MAX_ROWS]),
        *(_diagnosis(each) for each in diagnoses[:3]),
        advice_section("monitor", result.advice),
    )
