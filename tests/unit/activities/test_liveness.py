"""The worker beats for activities that say nothing, and for nobody when it is dead."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, TimeoutError, TimeoutType
from temporalio.worker import Interceptor, UnsandboxedWorkflowRunner, Worker

from activities.errors import ErrorTranslation
from activities.liveness import Liveness
from activities.logs import Logs
from tests.workflow.world import dev_server

SILENT = 3.0
"""Seconds that an activity says nothing."""
TIMEOUT = timedelta(seconds=1)


@activity.defn
def sleep_in_a_thread() -> int:
    time.sleep(SILENT)
    return activity.info().attempt


@activity.defn
async def sleep_on_the_loop() -> int:
    await asyncio.sleep(SILENT)
    return activity.info().attempt


@activity.defn
async def say_something_then_die() -> list[str]:
    """The first attempt reports progress, goes on in silence and fails; the second looks."""
    if activity.info().attempt == 1:
        activity.heartbeat("object 7")
        await asyncio.sleep(SILENT)
        raise RuntimeError("died")
    return [str(detail) for detail in activity.info().heartbeat_details]


@workflow.defn(sandboxed=False)
class CallOne:
    @workflow.run
    async def run(self, name: str, attempts: int) -> object:
        return await workflow.execute_activity(
            name,
            start_to_close_timeout=timedelta(seconds=30),
            heartbeat_timeout=TIMEOUT,
            retry_policy=RetryPolicy(
                maximum_attempts=attempts, initial_interval=timedelta(milliseconds=100)
            ),
        )


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    async with dev_server() as connected:
        yield connected


async def call(client: Client, name: str, *interceptors: Interceptor, attempts: int = 1) -> object:
    queue = f"liveness-{uuid4()}"
    with ThreadPoolExecutor(2) as threads:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[CallOne],
            activities=[sleep_in_a_thread, sleep_on_the_loop, say_something_then_die],
            activity_executor=threads,
            interceptors=interceptors,
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            return await client.execute_workflow(
                CallOne.run, args=[name, attempts], id=queue, task_queue=queue
            )


@pytest.mark.parametrize("name", ["sleep_in_a_thread", "sleep_on_the_loop"])
async def test_a_silent_activity_outlives_its_heartbeat_timeout(client: Client, name: str) -> None:
    attempt = await call(client, name, Logs(), ErrorTranslation(), Liveness())
    assert attempt == 1


async def test_without_the_beating_the_same_activity_is_given_up(client: Client) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await call(client, "sleep_on_the_loop")
    cause = failed.value.cause
    assert isinstance(cause, ActivityError)
    assert isinstance(cause.cause, TimeoutError)
    assert cause.cause.type is TimeoutType.HEARTBEAT


async def test_the_beating_repeats_what_the_activity_said_last(client: Client) -> None:
    said = await call(client, "say_something_then_die", Liveness(), attempts=2)
    assert said == ["object 7"]
