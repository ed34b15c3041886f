"""Scenarios that users of other tools complain about, on the whole product and a real cluster."""

import asyncio
from typing import Any

import pytest
from kubernetes.aio import client as kube

from pilothouse.cli.demo.story import CRASHING, GOOD
from pilothouse.models import names
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import DeploymentResult

pytestmark = pytest.mark.timeout(300)

VALUES = "configs/values.yaml"
MANIFEST = "manifests/deployment.yaml"
RUN = "simulator.pilothouse.dev/behavior: run"
NEVER_READY = (MANIFEST, RUN, "simulator.pilothouse.dev/behavior: not-ready")
CORRECT = ("pipeline.yaml", "health_timeout: 2m", "health_timeout: 2m\n      drift: correct")


async def deployment(project: Any, revision: str) -> Any:
    """The handle of a deployment to staging that a run will start, or has started."""
    workflow_id = names.deployment_id(project.repository.slug, "staging", revision)
    async with asyncio.timeout(120):
        while not await project.see.exists(workflow_id):
            await asyncio.sleep(0.05)
    return project.stack.client.get_workflow_handle(workflow_id, result_type=DeploymentResult)


async def deployed(project: Any, revision: str) -> DeploymentResult:
    async with asyncio.timeout(120):
        result: DeploymentResult = await (await deployment(project, revision)).result()
    return result


async def by_hand(project: Any, revision: str) -> DeploymentResult:
    """As `pilothouse deploy` does."""
    repository: RepositoryRef = project.repository
    result: DeploymentResult = await project.stack.client.execute_workflow(
        names.DEPLOYMENT_WORKFLOW,
        {
            "repository": repository.model_dump(),
            "revision": revision,
            "environment": "staging",
        },
        id=names.deployment_id(repository.slug, "staging", revision),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=DeploymentResult,
    )
    return result


async def image(project: Any) -> str:
    async with await project.stack.cluster() as api:
        live = await kube.AppsV1Api(api).read_namespaced_deployment(
            "model-api", project.namespace("staging")
        )
    return str(live.spec.template.spec.containers[0].image)


async def test_s14_s21_a_fix_does_not_wait_behind_a_broken_release(stack: Any) -> None:
    project = await stack.project("fixed")
    good = await project.good()
    assert (await deployed(project, good)).outcome == "deployed"
    stuck = await project.push("Never become ready", NEVER_READY)
    waiting = await deployment(project, stuck)
    async with asyncio.timeout(60):
        while (await waiting.query(names.QUERY_STATE))["phase"] != "health":
            await asyncio.sleep(0.05)
    fix = await project.push(
        "Become ready",
        (NEVER_READY[0], NEVER_READY[2], RUN),
        (VALUES, "model_version: v1.2.1", "model_version: v1.2.2"),
    )
    async with asyncio.timeout(60):  # half of the broken release's health_timeout
        assert (await deployed(project, fix)).outcome == "deployed"
    assert (await waiting.result()).outcome == "superseded"
    state = await project.see.environment("staging")
    assert [each.revision for each in state.releases] == [good, fix]
    assert state.hold is None
    assert (await image(project)).endswith(":v1.2.2")
    late = await by_hand(project, stuck)
    assert late.outcome == "superseded"
    assert (await image(project)).endswith(":v1.2.2")


async def test_s11_a_rollback_ends_and_the_newer_commit_follows_it(stack: Any) -> None:
    project = await stack.project("hurried")
    good = await project.good()
    assert (await deployed(project, good)).outcome == "deployed"
    bad = await project.bad()
    async with asyncio.timeout(120):
        while await asyncio.to_thread(project.author.head) == bad:
            await asyncio.sleep(0.05)
    # The revert is on main, and what it restores is being deployed now.
    newer = await project.push(
        "Serve model v1.2.2", (VALUES, "model_version: v1.2.1", "model_version: v1.2.2")
    )
    assert (await deployed(project, newer)).outcome == "deployed"
    assert (await deployed(project, bad)).outcome == "rolled_back"
    assert (await image(project)).endswith(":v1.2.2")
    state = await project.see.environment("staging")
    assert state.last_good is not None and state.last_good.revision == newer
    assert [each.outcome for each in state.releases] == ["good", "bad", "good", "good"]
    assert state.hold is None


async def test_s12_s17_a_known_bad_plan_is_refused_and_a_second_failure_freezes(
    stack: Any,
) -> None:
    project = await stack.project("failing")
    good = await project.good()
    assert (await deployed(project, good)).outcome == "deployed"
    bad = await project.push("Serve model v1.3.0", *CRASHING)
    assert (await deployed(project, bad)).outcome == "rolled_back"
    await project.see.run(bad, "push")
    again = await project.push("Serve model v1.3.0, I insist", *CRASHING)
    refused = await deployed(project, again)
    assert refused.outcome == "on_hold"
    assert f"known to be bad here (as {bad[:12]})" in refused.message
    assert (await image(project)).endswith(":v1.2.1")

    worse = await project.push(
        "Serve model v1.4.0", (VALUES, "model_version: v1.3.0", "model_version: v1.4.0")
    )
    second = await deployed(project, worse)
    assert second.outcome == "rolled_back"
    assert (await image(project)).endswith(":v1.2.1")
    state = await project.see.environment("staging")
    assert state.hold is not None and state.hold.kind == "frozen"
    frozen = await by_hand(project, good)
    assert (frozen.outcome, "a person must resume" in frozen.message) == ("on_hold", True)


async def test_drift_is_put_back_through_the_deployment_path(stack: Any) -> None:
    project = await stack.project("drifting")
    good = await project.push("Serve model v1.2.1", *GOOD, CORRECT)
    assert (await deployed(project, good)).outcome == "deployed"
    async with await stack.cluster() as api:
        await kube.AppsV1Api(api).patch_namespaced_deployment(
            "model-api",
            project.namespace("staging"),
            {"spec": {"template": {"spec": {"containers": [{"name": "api", "image": "other"}]}}}},
            field_manager="somebody",
        )
    look = await project.see.look(project.repository, "staging")
    assert look.drift is not None and look.drift.drifted
    async with asyncio.timeout(60):
        while (await image(project)) == "other":
            await asyncio.sleep(0.2)
    assert (await image(project)).endswith(":v1.2.1")
    state = await project.see.environment("staging")
    (correction,) = state.corrections
    assert any(each.endswith("/image") for each in correction.differences)
