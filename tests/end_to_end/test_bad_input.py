"""What a tired person does wrong ends in a clear message where they look, and nothing half done."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client as kube

from pilothouse.models import names
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import MonitorRequest, MonitorResult, PipelineRequest, PipelineResult

pytestmark = pytest.mark.timeout(300)

FORBIDDEN = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: everything
rules:
  - apiGroups: ["*"]
    resources: ["*"]
    verbs: ["*"]
"""


@pytest.fixture(scope="module")
async def project(stack: Any) -> Any:
    return await stack.project("wrong")


async def pushed(project: Any, message: str, *edits: tuple[str, str, str]) -> PipelineResult:
    revision = await project.push(message, *edits)
    result: PipelineResult = await project.see.run(revision, "push")
    return result


async def objects_in(project: Any, environment: str) -> int:
    async with await project.stack.cluster() as api:
        namespace = project.namespace(environment)
        return len((await kube.AppsV1Api(api).list_namespaced_deployment(namespace)).items)


async def test_an_unknown_key_in_the_pipeline_file_is_named_with_its_line(project: Any) -> None:
    result = await pushed(
        project, "Misspell", ("pipeline.yaml", "trigger: cron.5min", "triger: cron.5min")
    )
    assert result.outcome == "blocked"
    validation = result.stages[0].validation
    assert validation is not None
    (finding,) = (each for each in validation.findings if "triger" in each.message)
    assert (finding.file, finding.line) == ("pipeline.yaml", 20)
    recorded = await asyncio.to_thread(project.author.status, f"push-{result.revision[:12]}")
    assert "triger" in recorded
    assert await objects_in(project, "staging") == 0


async def test_an_empty_manifests_folder_deploys_and_prunes_nothing(project: Any) -> None:
    result = await pushed(
        project,
        "Look elsewhere",
        ("pipeline.yaml", "triger: cron.5min", "trigger: cron.5min"),
        ("pipeline.yaml", "manifests: manifests", "manifests: nothing-here"),
    )
    assert result.outcome == "blocked"
    assert any(
        finding.rule == "empty-manifests"
        for stage in result.stages
        for finding in (stage.validation.findings if stage.validation else ())
    )
    assert await objects_in(project, "staging") == 0


async def test_what_the_cluster_refuses_is_said_with_its_file(project: Any) -> None:
    result = await pushed(
        project,
        "Take every right",
        ("pipeline.yaml", "manifests: nothing-here", "manifests: manifests"),
        ("manifests/service.yaml", "apiVersion: v1", f"{FORBIDDEN}---\napiVersion: v1"),
    )
    assert result.outcome == "blocked"
    message = result.stages[-1].summary
    assert "Role" in message
    assert "manifests/service.yaml" in message
    assert await objects_in(project, "staging") == 0


async def test_a_missing_branch_is_named(stack: Any, project: Any) -> None:
    repository = RepositoryRef(url=project.repository.url, default_branch="mian")
    look: MonitorResult = await stack.client.execute_workflow(
        names.MONITOR_WORKFLOW,
        MonitorRequest(repository=repository, environment="staging"),
        id="monitor-missing-branch",
        task_queue=names.WORKFLOW_QUEUE,
        result_type=MonitorResult,
    )
    assert look.verdict == "unknown"
    assert "mian does not exist" in look.message


async def test_a_repository_that_does_not_exist_is_named(stack: Any, project: Any) -> None:
    repository = RepositoryRef(url=project.repository.url.replace("wrong", "nowhere"))
    result: PipelineResult = await stack.client.execute_workflow(
        names.PIPELINE_WORKFLOW,
        PipelineRequest(repository=repository, revision="0" * 40),
        id="pipeline-nowhere",
        task_queue=names.WORKFLOW_QUEUE,
        result_type=PipelineResult,
    )
    assert result.outcome == "error"
    assert "nowhere" in result.message


async def test_the_temporal_cli_is_told_what_is_wrong_with_a_request(stack: Any) -> None:
    program = Path(sys.executable).with_name("temporal")
    argv = ["workflow", "execute", "--type", "DeploymentWorkflow", "--task-queue", "pilothouse"]
    argv += ["--workflow-id", "deployment-nonsense", "--input", '{"revision": "main"}']
    process = await asyncio.create_subprocess_exec(
        program,
        *argv,
        "--address",
        stack.services.addresses.temporal,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode != 0
    assert "expected a full commit id" in output.decode()
