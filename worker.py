"""The worker: settings, clients, activities, one Worker for each task queue, a clean stop.

`python -m worker` serves every queue; `--queue NAME` (repeatable) only those, so that credentials
can be kept apart: a worker that serves no cluster queue never opens a kubeconfig. `--agents-queue
NAME` serves agents that the pipeline file gives a `task_queue` of their own.
"""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import timedelta

import structlog
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.worker import Interceptor, Worker

from activities.errors import ErrorTranslation
from activities.liveness import Liveness
from activities.logs import Logs
from activities.serving import activities_of
from pilothouse.clients.logging import configure_logging
from pilothouse.clients.settings import Settings, read_settings
from pilothouse.clients.temporal.connection import connect
from pilothouse.clients.temporal.leaving import leave
from pilothouse.models import names
from pilothouse.models.base import explain
from pilothouse.models.errors import PermanentError, TemporaryError

GRACE = timedelta(seconds=10)
"""How long running activities may go on after a stop was asked for."""
SLOTS = 16
"""Activities of one queue at once, and the threads for those that block."""

log = structlog.get_logger()


async def serve(settings: Settings, queues: Sequence[str]) -> None:
    """Serve the queues until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    async with AsyncExitStack() as stack:
        client = await connect()
        for queue in queues:
            worker = await _worker(queue, settings, client, stack, stopped)
            await stack.enter_async_context(worker)
        # What is loaded now stays: it need not be searched for garbage with every large revision.
        gc.freeze()
        log.info("serving", queues=list(queues))
        await stopped.wait()
        log.info("stopping")


async def _worker(
    queue: str, settings: Settings, client: Client, stack: AsyncExitStack, stopped: asyncio.Event
) -> Worker:
    async def dead(error: BaseException) -> None:
        # The process ends with it: alive and serving nothing would look like health.
        log.error("a worker broke", queue=queue, error=type(error).__name__)
        stopped.set()

    activities = await activities_of(queue, settings, client, stack)
    workflows, borders = _workflows_of(queue)
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=activities,
        activity_executor=stack.enter_context(ThreadPoolExecutor(SLOTS, queue)),
        max_concurrent_activities=SLOTS,
        interceptors=[ErrorTranslation(), Logs(), Liveness(), *borders],
        graceful_shutdown_timeout=GRACE,
        on_fatal_error=dead,
        # A killed worker's cached runs are taken over after this; Temporal's own default is 10 s.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
    )


def _workflows_of(queue: str) -> tuple[list[type], list[Interceptor]]:
    """The workflows of a queue, and what stands before them; loaded only where they are served."""
    if queue != names.WORKFLOW_QUEUE:
        return [], []
    from workflows import WORKFLOWS
    from workflows.border import SignalBorder

    return WORKFLOWS, [SignalBorder()]


def main() -> None:
    """Parse the command line and serve; what a person can mend is said in one line."""
    parser = argparse.ArgumentParser(prog="worker", description=__doc__.splitlines()[0])
    parser.add_argument("--queue", action="append", choices=names.TASK_QUEUES, default=[])
    parser.add_argument(
        "--agents-queue", action="append", default=[], help="an agent's own task_queue"
    )
    wanted = parser.parse_args()
    queues = (*wanted.queue, *wanted.agents_queue) or names.TASK_QUEUES
    try:
        settings = read_settings()
        json = settings.log_format == "json"
        configure_logging(settings.log_level, json=json, secrets=settings.secrets())
        asyncio.run(serve(settings, queues))
    except ValidationError as error:
        sys.exit(f"worker: settings: {explain(error)}")
    except (PermanentError, TemporaryError) as error:
        sys.exit(f"worker: {error}")
    leave(SystemExit(0))


if __name__ == "__main__":
    main()
