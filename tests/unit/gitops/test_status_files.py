"""What a run leaves in Git: a projection, the same for the same run."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.gitops.status_files import MAX_FINDINGS, status_commit, status_files
from pilothouse.models.agents import AgentResult, Citation, JudgedFinding, ModelFinding
from pilothouse.models.findings import Finding, report
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import (
    CommandResult,
    DeploymentOutcome,
    DeploymentResult,
    PipelineRequest,
    PipelineResult,
    RollbackResult,
    StageReport,
    TestReport,
)

REVISION = "a" * 40
REVERT = "b" * 40
WHEN = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN = "pipeline/example.org/app/push/" + REVISION
REQUEST = PipelineRequest(
    repository=RepositoryRef(url="https://example.org/app"), revision=REVISION, event="push"
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


def result(*stages: StageReport, message: str = "") -> PipelineResult:
    return PipelineResult(
        revision=REVISION, event="push", outcome="succeeded", stages=stages, message=message
    )


def deployment(outcome: DeploymentOutcome, rollback: RollbackResult | None = None) -> StageReport:
    return StageReport(
        agent="deployer",
        outcome="passed",
        environment="staging",
        deployment=DeploymentResult(
            outcome=outcome, environment="staging", revision=REVISION, rollback=rollback
        ),
    )


def read(files: dict[str, str], path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(files[path])
    return document


def test_every_file_says_that_it_is_a_projection() -> None:
    tests = TestReport(
        passed=True, commands=(CommandResult(command="true", exit_code=0, seconds=1, output=""),)
    )
    stages = (StageReport(agent="tester", outcome="passed", tests=tests), deployment("deployed"))
    files = status_files(result(*stages), run=RUN)
    assert set(files) == {
        "status/runs/push-aaaaaaaaaaaa.json",
        "status/tests/aaaaaaaaaaaa.json",
        "status/environments/staging.json",
    }
    for path in files:
        assert read(files, path)["_"].startswith("written by Pilothouse; a projection")
        assert files[path].endswith("}\n")


@pytest.mark.parametrize("outcome", ["blocked", "rejected", "expired", "on_hold", "superseded"])
def test_an_environment_that_was_not_touched_keeps_its_file(outcome: DeploymentOutcome) -> None:
    files = status_files(result(deployment(outcome)), run=RUN)
    assert list(files) == ["status/runs/push-aaaaaaaaaaaa.json"]


def test_after_a_rollback_the_file_names_the_commit_that_is_deployed() -> None:
    rollback = RollbackResult(outcome="rolled_back", revert_commit=REVERT)
    files = status_files(result(deployment("rolled_back", rollback)), run=RUN)
    assert read(files, "status/environments/staging.json")["revision"] == REVERT


def test_a_rollback_that_made_no_commit_leaves_the_revision_that_is_there() -> None:
    rollback = RollbackResult(outcome="conflict")
    files = status_files(result(deployment("failed", rollback)), run=RUN)
    assert read(files, "status/environments/staging.json")["revision"] == REVISION


def test_findings_are_recorded_and_bounded() -> None:
    findings = [
        Finding(rule="schema", severity="error", file=f"{number:03}.yaml", message="x")
        for number in range(50)
    ]
    stage = StageReport(agent="validator", outcome="blocked", validation=report(findings, 1))
    (recorded,) = read(status_files(result(stage), run=RUN), "status/runs/push-aaaaaaaaaaaa.json")[
        "stages"
    ]
    assert [each["file"] for each in recorded["findings"]][:2] == ["000.yaml", "001.yaml"]
    assert len(recorded["findings"]) == MAX_FINDINGS


def test_the_same_run_gives_the_same_commit_request() -> None:
    commits = [
        status_commit(REQUEST, result(), run=RUN, branch="pilothouse/status", when=WHEN)
        for _ in range(2)
    ]
    assert commits[0] == commits[1]
    assert commits[0].when == "2026-01-01T12:00:00+00:00"
    assert commits[0].message == (
        "Record push aaaaaaaaaaaa: succeeded\n\n"
        f"Pilothouse-Run: {RUN}\nPilothouse-Revision: {REVISION}\n"
    )


@given(TEXT, TEXT)
def test_untrusted_text_is_quoted_in_json_and_never_in_the_commit_message(
    message: str, summary: str
) -> None:
    stage = StageReport(agent="tester", outcome="failed", summary=summary)
    commit = status_commit(
        REQUEST, result(stage, message=message), run=RUN, branch="pilothouse/status", when=WHEN
    )
    (path,) = commit.files
    recorded = read(commit.files, path)
    assert (recorded["message"], recorded["stages"][0]["summary"]) == (message, summary)
    assert commit.message.count("\n") == 4


def test_what_rules_and_model_said_is_recorded_side_by_side() -> None:
    found = ModelFinding(severity="error", message="m", evidence=(Citation(id="E1", quote="q"),))
    advice = AgentResult(
        outcome="answered",
        rules="pass",
        model_verdict="block",
        verdict="block",
        summary="s" * 2000,
        findings=(JudgedFinding(finding=found, resolved=True),) * 9,
    )
    stages = [
        StageReport(agent="validator", outcome="blocked", advice=advice),
        StageReport(agent="tester", outcome="passed"),
    ]
    path = "status/runs/push-aaaaaaaaaaaa.json"
    recorded, other = read(status_files(result(*stages), run=RUN), path)["stages"]
    said = recorded["advice"]
    assert (said["rules"], said["model_verdict"], said["verdict"]) == ("pass", "block", "block")
    assert said["findings"][0]["cites"] == ["E1"]
    assert (len(said["findings"]), said["omitted"], len(said["summary"])) == (5, 4, 500)
    assert "advice" not in other
