"""Recorded histories replay under today's workflow code: runs that wait survive an upgrade.

A failure here means that runs started before your change cannot go on after it. Either keep the old
path (`workflow.patched`), or, before anything was released, record anew: see `record.py`.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from pilothouse.clients.temporal.converter import DATA_CONVERTER
from pilothouse.models import names
from pilothouse.models.runs import DeploymentRequest
from tests.replay.record import SCENARIOS
from tests.replay.shown import HISTORIES, SHOWN, Shown, disagreements
from workflows import WORKFLOWS

RECORDED = sorted(HISTORIES.glob("*.json"))


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


async def replay(path: Path, workflows: list[type]) -> None:
    document = load(path)
    history = WorkflowHistory.from_json(document["workflowId"], document)
    replayer = Replayer(workflows=workflows, data_converter=DATA_CONVERTER)
    await replayer.replay_workflow(history)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_recorded_history_replays_under_todays_code(path: Path) -> None:
    await replay(path, WORKFLOWS)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_history_shows_what_its_name_says(path: Path) -> None:
    assert disagreements(load(path), SHOWN[path.stem]) == []


def test_each_scenario_has_its_history_and_each_history_its_scenario() -> None:
    assert {path.stem for path in RECORDED} == set(SHOWN) == set(SCENARIOS)


def test_every_workflow_has_a_history() -> None:
    assert {shown.workflow for shown in SHOWN.values()} == {
        value for name, value in vars(names).items() if name.endswith("_WORKFLOW")
    }


def test_histories_name_no_machine() -> None:
    for path in RECORDED:
        assert re.search(r'"\d+@', path.read_text(encoding="utf-8")) is None, path.name


@workflow.defn(name=names.DEPLOYMENT_WORKFLOW, sandboxed=False)
class Impatient:
    @workflow.run
    async def run(self, request: DeploymentRequest) -> None:
        await workflow.sleep(1)


async def test_a_workflow_that_does_something_else_is_noticed() -> None:
    with pytest.raises(workflow.NondeterminismError):
        await replay(HISTORIES / "deployment-deployed.json", [Impatient])


def test_a_history_that_shows_something_else_is_noticed() -> None:
    history = load(HISTORIES / "deployment-rejected.json")
    wrong = disagreements(history, SHOWN["deployment-approved"])
    assert "it ended as 'rejected' instead of 'deployed'" in wrong
    assert "apply_plan was not called" in wrong
    assert f"signal {names.SIGNAL_APPROVE} came 0 times instead of 1" in wrong
    assert disagreements(history, Shown(names.MONITOR_WORKFLOW, "rejected")) == [
        f"it is a {names.DEPLOYMENT_WORKFLOW}"
    ]
