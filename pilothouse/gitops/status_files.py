"""What a run leaves under `status/`: projections for people and tools, never a source of truth."""

import json
from datetime import datetime

from pilothouse.gitops.reports.agents import advice_of
from pilothouse.models.names import short
from pilothouse.models.runs import PipelineRequest, PipelineResult, StageReport
from pilothouse.models.steps import CommitRequest

NOTICE = "written by Pilothouse; a projection of the workflow's history, not its source"
MAX_FINDINGS = 20
MAX_ADVICE = 5
"""Findings of a model in the record; all of them are in its own workflow."""


def status_commit(
    request: PipelineRequest, result: PipelineResult, *, run: str, branch: str, when: datetime
) -> CommitRequest:
    """The one commit that records a run. Everything in it comes from the arguments."""
    subject = f"Record {result.event} {short(result.revision)}: {result.outcome}"
    trailer = f"Pilothouse-Run: {run}\nPilothouse-Revision: {result.revision}"
    return CommitRequest(
        repository=request.repository,
        branch=branch,
        kind="status",
        message=f"{subject}\n\n{trailer}\n",
        when=when.isoformat(),
        files=status_files(result, run=run),
    )


def status_files(result: PipelineResult, *, run: str) -> dict[str, str]:
    """Path -> JSON text: the run, the tests, and each environment that it touched."""
    files = {f"status/runs/{result.event}-{short(result.revision)}.json": _run(result, run)}
    for stage in result.stages:
        if stage.tests is not None:
            path = f"status/tests/{short(result.revision)}.json"
            files[path] = _json(stage.tests.model_dump(mode="json"))
        deployment = stage.deployment
        if deployment is not None and deployment.outcome in {"deployed", "rolled_back", "failed"}:
            revert = deployment.rollback.revert_commit if deployment.rollback else ""
            files[f"status/environments/{stage.environment}.json"] = _json({
                "environment": stage.environment,
                "revision": revert or deployment.revision,
                "status": deployment.outcome,
                "message": deployment.message,
                "plan": deployment.plan.digest if deployment.plan else "",
                "run": run,
            })
    return files


def _run(result: PipelineResult, run: str) -> str:
    return _json({
        "run": run,
        "revision": result.revision,
        "event": result.event,
        "outcome": result.outcome,
        "message": result.message,
        "stages": [
            {
                "agent": stage.agent,
                "environment": stage.environment,
                "outcome": stage.outcome,
                "event": stage.event,
                "summary": stage.summary,
                "findings": [
                    finding.model_dump(mode="json")
                    for finding in (stage.validation.findings if stage.validation else ())
                ][:MAX_FINDINGS],
                **_advice(stage),
            }
            for stage in result.stages
        ],
    })


def _advice(stage: StageReport) -> dict[str, object]:
    """Who asked a model: what rules and model said, side by side, and what it cost."""
    advice = advice_of(stage)
    if advice is None:
        return {}
    kept = {"outcome", "rules", "model_verdict", "verdict", "needs_human", "message"}
    kept |= {"model", "turns", "tools", "usage"}
    findings = [
        {
            "severity": judged.finding.severity,
            "object": judged.finding.object,
            "message": judged.finding.message,
            "cites": [each.id for each in judged.finding.evidence],
            "hypothesis": not judged.resolved,
        }
        for judged in advice.findings[:MAX_ADVICE]
    ]
    return {
        "advice": {
            **advice.model_dump(mode="json", include=kept),
            "summary": advice.summary[:500],
            "findings": findings,
            "omitted": advice.omitted + len(advice.findings) - len(findings),
            "left_out": [each.tool for each in advice.left_out],
        }
    }


def _json(value: dict[str, object]) -> str:
    return json.dumps({"_": NOTICE, **value}, indent=2, ensure_ascii=False) + "\n"
