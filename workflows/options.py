"""How activities are called: one profile for each kind of work.

Every profile ends: Temporal's own default is to retry for ever. `schedule_to_close` is the longest
that a fault of the other side is waited out; what is refused for good ends at once.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, overload

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig

with workflow.unsafe.imports_passed_through():
    from pilothouse.models import names

Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Profile:
    """A way to call activities: `await GIT(GitActivities.read_head, request, summary="...")`.

    The result's type is the method's own; mypy checks request and result.
    """

    config: ActivityConfig

    @overload
    async def __call__(
        self, method: Callable[[Any, Request], Awaitable[Result]], request: Request, summary: str
    ) -> Result: ...

    @overload
    async def __call__(
        self, method: Callable[[Any, Request], Result], request: Request, summary: str
    ) -> Result: ...

    async def __call__(self, method: Callable[[Any, Any], Any], request: Any, summary: str) -> Any:
        """Execute one activity; the one-line summary is what the Web UI shows beside its type."""
        config = self.config.copy()
        config["summary"] = summary
        return await workflow.execute_activity_method(method, request, **config)


LIVENESS = timedelta(seconds=10)
"""The worker beats for every activity (`activities.liveness`): a dead one is noticed after this."""

_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=20),
)

GIT = Profile(
    ActivityConfig(
        task_queue=names.GIT_QUEUE,
        start_to_close_timeout=timedelta(minutes=5),
        schedule_to_close_timeout=timedelta(minutes=15),
        heartbeat_timeout=LIVENESS,
        retry_policy=_RETRY,
    )
)
"""Network calls to the forge."""

GIT_LOOK = Profile(
    ActivityConfig(
        task_queue=names.GIT_QUEUE,
        start_to_close_timeout=timedelta(seconds=30),
        schedule_to_close_timeout=timedelta(minutes=1),
        heartbeat_timeout=LIVENESS,
        retry_policy=_RETRY,
    )
)
"""Reading a head: cheap, and asked again soon, so it gives up early."""

WORKSPACE = Profile(
    ActivityConfig(
        task_queue=names.WORKSPACE_QUEUE,
        start_to_close_timeout=timedelta(minutes=2),
        schedule_to_close_timeout=timedelta(minutes=10),
        heartbeat_timeout=LIVENESS,
        retry_policy=_RETRY,
    )
)
"""Pure work on stored files."""

CLUSTER_READ = Profile(
    ActivityConfig(
        task_queue=names.CLUSTER_QUEUE,
        start_to_close_timeout=timedelta(minutes=5),
        schedule_to_close_timeout=timedelta(minutes=10),
        heartbeat_timeout=LIVENESS,
        retry_policy=_RETRY,
    )
)
"""Dry-runs and looks."""

CLUSTER_WRITE = Profile(
    ActivityConfig(
        task_queue=names.CLUSTER_QUEUE,
        start_to_close_timeout=timedelta(minutes=10),
        schedule_to_close_timeout=timedelta(minutes=30),
        heartbeat_timeout=LIVENESS,
        retry_policy=_RETRY,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )
)
"""Applying; when cancelled it ends between two objects, and only then the lock is released."""


def watching(limit: timedelta) -> Profile:
    """A watch, for at most `limit` a try."""
    return Profile(
        ActivityConfig(
            task_queue=names.CLUSTER_QUEUE,
            start_to_close_timeout=limit + timedelta(minutes=1),
            schedule_to_close_timeout=limit * 2 + timedelta(minutes=10),
            heartbeat_timeout=LIVENESS,
            retry_policy=_RETRY,
            cancellation_type=ActivityCancellationType.TRY_CANCEL,
        )
    )


def testing(limit: timedelta) -> Profile:
    """The repository's own tests, `limit` for all commands together."""
    return Profile(
        ActivityConfig(
            task_queue=names.WORKSPACE_QUEUE,
            start_to_close_timeout=limit + timedelta(minutes=1),
            schedule_to_close_timeout=limit * 2 + timedelta(minutes=10),
            heartbeat_timeout=LIVENESS,
            retry_policy=_RETRY,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
    )
