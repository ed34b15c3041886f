"""DeploymentWorkflow on a real server: from a plan to a release."""

from collections.abc import Callable

from temporalio.client import Client

from pilothouse.models.findings import Finding
from tests.workflow.driving import deploy, free
from tests.workflow.world import World

Rev = Callable[[str], str]


async def test_a_good_revision_is_deployed_and_remembered(
    client: Client, workers: World, rev: Rev
) -> None:
    result = await deploy(client, workers, rev("a"))
    assert result.outcome == "deployed"
    assert workers.applied[0].fencing == 1
    assert workers.applied[0].plan == result.plan.digest
    state = await free(client, workers)
    assert state.last_good.revision == rev("a")


async def test_what_differs_right_after_it_was_applied_is_said(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.drifted = True
    result = await deploy(client, workers, rev("a"))
    assert result.outcome == "deployed"
    assert "differs already: Deployment/app/model-api" in result.message


async def test_errors_in_validation_end_it_before_any_write(
    client: Client, workers: World, rev: Rev
) -> None:
    finding = Finding(rule="schema", severity="error", file="a.yaml", line=3, message="bad")
    workers.findings[rev("a")] = [finding]
    result = await deploy(client, workers, rev("a"))
    assert result.outcome == "blocked"
    assert "a.yaml:3" in result.report
    assert workers.applied == []


async def test_an_unknown_environment_is_said_with_those_that_exist(
    client: Client, workers: World, rev: Rev
) -> None:
    result = await deploy(client, workers, rev("a"), "stagging")
    assert result.outcome == "blocked"
    assert "'stagging' (it has: staging, production)" in result.message


async def test_an_unknown_revision_ends_with_gits_words(
    client: Client, workers: World, rev: Rev
) -> None:
    result = await deploy(client, workers, rev("unknown"))
    assert (result.outcome, result.message) == ("failed", "the repository has no such revision")
