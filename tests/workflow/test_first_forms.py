"""The two forms of a pipeline file, as first published, run as they were written."""

from collections.abc import Callable
from typing import Any

import pytest
from temporalio.client import Client

from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.models import names
from pilothouse.models.runs import PipelineRequest, PipelineResult
from tests.first_forms import FULL, SHORT
from tests.workflow.world import World

FORMS = [(SHORT, "workspace"), (FULL, "default")]


async def run(client: Client, world: World, rev: str, event: str) -> Any:
    request = PipelineRequest(repository=world.repository, revision=rev, event=event)
    return await client.execute_workflow(
        names.PIPELINE_WORKFLOW,
        request,
        id=names.pipeline_id(world.repository.slug, event, rev),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=PipelineResult,
    )


@pytest.mark.parametrize(("text", "environment"), FORMS, ids=["short", "full"])
async def test_a_push_is_validated_and_deployed(
    text: str, environment: str, client: Client, workers: World, rev: Callable[[str], str]
) -> None:
    pipeline, findings = parse_pipeline(text.encode())
    assert findings == []
    assert pipeline is not None
    workers.pipeline = pipeline
    result = await run(client, workers, rev("good"), "push")
    assert result.outcome == "succeeded"
    stages = {stage.agent: stage for stage in result.stages}
    assert set(stages) == set(pipeline.agents)
    assert stages["deployer"].environment == environment
    assert [each.revision for each in workers.applied] == [rev("good")]


@pytest.mark.parametrize(("text", "environment"), FORMS, ids=["short", "full"])
async def test_a_pull_request_is_validated_and_not_deployed(
    text: str, environment: str, client: Client, workers: World, rev: Callable[[str], str]
) -> None:
    pipeline, _ = parse_pipeline(text.encode())
    assert pipeline is not None
    workers.pipeline = pipeline
    result = await run(client, workers, rev("good"), "pull-1")
    stages = {stage.agent: stage.outcome for stage in result.stages}
    assert stages["validator"] == "passed"
    assert stages.get("deployer", "skipped") == "skipped"
    assert environment in pipeline.environments
    assert workers.applied == []
    assert workers.planned == []
