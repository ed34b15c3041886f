"""Watches workflows from outside, as a person at the Web UI would."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from pilothouse.models import names
from pilothouse.models.environment import EnvironmentState
from pilothouse.models.errors import TemporaryError
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import MonitorRequest, MonitorResult, PipelineResult

PATIENCE_SECONDS = 300.0
LOOK_SECONDS = 0.3


class Observer:
    """Finds the workflows of one repository by their ids, and waits for what they say."""

    def __init__(self, client: Client, slug: str) -> None:
        self._client = client
        self._slug = slug

    async def run(self, revision: str, event: str) -> PipelineResult:
        """Wait for a run's start and end."""
        workflow_id = names.pipeline_id(self._slug, event, revision)
        handle = self._client.get_workflow_handle(workflow_id, result_type=PipelineResult)
        await _until(lambda: self.exists(workflow_id), f"{workflow_id} to start")
        async with asyncio.timeout(PATIENCE_SECONDS):
            result: PipelineResult = await handle.result()
        return result

    async def question(self, revision: str, environment: str, event: str = "push") -> str:
        """Wait until a deployment asks for a decision; returns the plan digest.

        Ends early if the run ends without asking.
        """
        run = self._client.get_workflow_handle(names.pipeline_id(self._slug, event, revision))
        deployment = self._client.get_workflow_handle(
            names.deployment_id(self._slug, environment, revision)
        )
        plan = ""

        async def asked() -> bool:
            nonlocal plan
            if not await self.exists(deployment.id):
                if await self.exists(run.id) and (await run.describe()).close_time is not None:
                    result = PipelineResult.model_validate(await run.result())
                    raise TemporaryError(
                        "LocalServiceFailed", f"the run ended as {result.outcome}:\n{result.report}"
                    )
                return False
            state = await deployment.query(names.QUERY_STATE)
            if state["phase"] == "approval":
                plan = state["result"]["plan"]["digest"]
            return bool(plan)

        await _until(asked, f"{environment} to ask for an approval")
        return plan

    async def type(self, program: Path, line: str, address: str) -> None:
        """Run a `temporal ...` line as a person would, with the real program."""
        argv = shlex.split(line.replace("\\\n", " "))
        process = await asyncio.create_subprocess_exec(
            program,
            *argv[1:],
            "--address",
            address,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise TemporaryError("TemporalUnavailable", output.decode(errors="replace"))

    async def look(self, repository: RepositoryRef, environment: str) -> MonitorResult:
        """Let the monitor look once, and return what it saw."""
        result: MonitorResult = await self._client.execute_workflow(
            names.MONITOR_WORKFLOW,
            MonitorRequest(repository=repository, environment=environment),
            id=names.monitor_id(self._slug, environment, f"by-hand-{uuid4().hex[:8]}"),
            task_queue=names.WORKFLOW_QUEUE,
            result_type=MonitorResult,
        )
        return result

    async def environment(self, environment: str) -> EnvironmentState:
        """What an environment remembers."""
        handle = self._client.get_workflow_handle(names.environment_id(self._slug, environment))
        state: EnvironmentState = await handle.query(
            names.QUERY_STATE, result_type=EnvironmentState
        )
        return state

    async def exists(self, workflow_id: str) -> bool:
        """Whether there is, or was, such a workflow."""
        try:
            await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True


async def _until(look: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await look():
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise TemporaryError(
            "LocalServiceFailed", f"waited {PATIENCE_SECONDS:.0f} s in vain for {what}"
        ) from None
