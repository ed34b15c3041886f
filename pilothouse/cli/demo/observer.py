"""Watches workflows from outside, as a person at the Web UI would."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import NamedTuple
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


ENVIRONMENTS = ("staging", "production")


class Question(NamedTuple):
    """A deployment that waits for a person."""

    environment: str
    deployment: str
    """Workflow id."""
    plan: str
    """Digest."""


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

    async def question(
        self, revision: str, answered: Collection[str], event: str = "push"
    ) -> Question | None:
        """Wait until a deployment of a commit asks for a decision; None: the run has ended.

        Args:
            revision: the commit.
            answered: environments whose questions were answered.
            event: of the run.
        """
        run = names.pipeline_id(self._slug, event, revision)
        found: Question | None = None

        async def asked_or_over() -> bool:
            nonlocal found
            for environment in ENVIRONMENTS:
                if environment not in answered and found is None:
                    found = await self._asks(environment, revision)
            return found is not None or await self._ended(run)

        await _until(asked_or_over, "a question, or the end of the run")
        return found

    async def _asks(self, environment: str, revision: str) -> Question | None:
        deployment = names.deployment_id(self._slug, environment, revision)
        if not await self.exists(deployment):
            return None
        state = await self._client.get_workflow_handle(deployment).query(names.QUERY_STATE)
        if state["phase"] != "approval" or not state["result"]["plan"]:
            return None
        return Question(environment, deployment, state["result"]["plan"]["digest"])

    async def _ended(self, run: str) -> bool:
        if not await self.exists(run):
            return False
        described = await self._client.get_workflow_handle(run).describe()
        return described.close_time is not None

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
