"""Every line of docs/reference/workflows.md is typed as it stands, in order, and works."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from pilothouse.cli.demo.story import GOOD
from pilothouse.models import names
from pilothouse.models.runs import DeploymentResult, MonitorResult, RollbackResult
from pilothouse.models.workspace import LeaseState

pytestmark = pytest.mark.timeout(300)
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "workflows.md"
NEXT = (("configs/values.yaml", "model_version: v1.2.1", "model_version: v1.2.2"),)


def blocks() -> dict[str, list[str]]:
    """Section title -> its shell blocks; those for `decide` are fenced as console."""
    found: dict[str, list[str]] = {}
    title = ""
    for part in re.split(r"(?m)^## ", PAGE.read_text())[1:]:
        title = part.splitlines()[0]
        found[title] = re.findall(r"```(?:sh|console)\n(.*?)```", part, re.DOTALL)
    return found


class Typist:
    """A person at a shell with the page's variables set."""

    def __init__(self, project: Any) -> None:
        self.project = project
        address = project.stack.services.addresses.temporal
        programs = Path(sys.executable).parent
        self.variables = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "TEMPORAL_ADDRESS": address,
            "REPOSITORY": project.repository.url,
            "SLUG": project.repository.slug,
        }

    async def enter(self, block: str, **variables: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-ec",
            block,
            env={**self.variables, **variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    def handle(self, workflow_id: str, result: Any) -> Any:
        return self.project.stack.client.get_workflow_handle(workflow_id, result_type=result)


async def test_each_line_works_as_it_stands(stack: Any) -> None:
    project = await stack.project("typed")
    typist = Typist(project)
    page = blocks()
    slug = project.repository.slug

    start, event, query = page["RepositoryWorkflow"]
    await typist.enter(start)
    first = await project.push("Serve model v1.2.1", *GOOD)
    await typist.enter(event)
    plan = await project.question(first)
    assert first in await typist.enter(query)

    (deployment_start, approve, reject, decide) = page["DeploymentWorkflow"]
    await typist.enter(deployment_start, REVISION=first)
    await typist.enter(approve, REVISION=first, PLAN=plan)
    result = await project.see.run(first, "push")
    assert result.outcome == "succeeded"

    second = await project.push("Serve model v1.2.2", *NEXT)
    plan = await project.question(second)
    await typist.enter(reject, REVISION=second, PLAN=plan)
    rejected = typist.handle(names.deployment_id(slug, "production", second), DeploymentResult)
    assert (await rejected.result()).outcome == "rejected"
    assert (await project.see.run(second, "push")).outcome == "blocked"

    (pipeline_start,) = page["PipelineWorkflow"]
    await typist.enter(pipeline_start, REVISION=second)
    plan = await project.question(second, "manual")
    assert "approved:true" in await typist.enter(decide, REVISION=second, PLAN=plan)
    assert (await project.see.run(second, "manual")).outcome == "succeeded"

    environment_start, hold, resume, hand, hand_back, query = page["EnvironmentWorkflow"]
    await typist.enter(environment_start)
    await typist.enter(hold)
    assert "audit week" in await typist.enter(query)
    await typist.enter(resume)
    assert (await project.see.environment("production")).hold is None
    await typist.enter(hand)
    assert (await project.see.environment("production")).owner == "lead@example.org"
    await typist.enter(hand_back)
    assert (await project.see.environment("production")).owner == ""

    lease_start, release = page["LeaseWorkflow"]
    await typist.enter(lease_start, REVISION=second)
    await typist.enter(release)
    lease = typist.handle(names.lease_id(slug, "staging", "k000000000001"), LeaseState)
    assert (await lease.result()).phase == "ended"

    (monitor_start,) = page["MonitorWorkflow"]
    await typist.enter(monitor_start)
    look = typist.handle(names.monitor_id(slug, "staging", "by-hand"), MonitorResult)
    assert (await look.result()).verdict == "healthy"

    (rollback_start,) = page["RollbackWorkflow"]
    await typist.enter(rollback_start)
    rollback = typist.handle(names.rollback_id(slug, "staging", "by-hand"), RollbackResult)
    rolled_back = await rollback.result()
    assert (rolled_back.outcome, rolled_back.to_revision) == ("rolled_back", first)
