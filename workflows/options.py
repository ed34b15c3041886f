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


def _profile(
    queue: str,
    *,
    one_try: timedelta,
    altogether: timedelta,
    alive: timedelta = LIVENESS,
    cancellation: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL,
) -> Profile:
    return Profile(
        ActivityConfig(
            task_queue=queue,
            start_to_close_timeout=one_try,
            schedule_to_close_timeout=altogether,
            heartbeat_timeout=alive,
            retry_policy=_RETRY,
            cancellation_type=cancellation,
        )
    )


GIT = _profile(names.GIT_QUEUE, one_try=timedelta(minutes=5), altogether=timedelta(minutes=15))
"""Network calls to the forge."""

GIT_LOOK = _profile(names.GIT_QUEUE, one_try=timedelta(seconds=30), altogether=timedelta(minutes=1))
"""Reading a head: cheap, and asked again soon, so it gives up early."""

WORKSPACE = _profile(
    names.WORKSPACE_QUEUE, one_try=timedelta(minutes=2), altogether=timedelta(minutes=10)
)
"""Pure work on stored files."""

CLUSTER_READ = _profile(
    names.CLUSTER_QUEUE, one_try=timedelta(minutes=5), altogether=timedelta(minutes=10)
)
"""Dry-runs and looks."""

MAX_WAVES = 10
"""So many waves of one apply may each take all of their time; nobody is known to need more."""


def writing(wave: timedelta) -> Profile:
    """Applying, with at most `wave` for each wave to become healthy.

    When cancelled it ends between two objects, and only then the lock is released.
    """
    return _profile(
        names.CLUSTER_QUEUE,
        one_try=timedelta(minutes=10) + wave * MAX_WAVES,
        altogether=timedelta(minutes=30) + wave * MAX_WAVES * 2,
        cancellation=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def watching(limit: timedelta) -> Profile:
    """A watch, for at most `limit` a try."""
    return _profile(
        names.CLUSTER_QUEUE,
        one_try=limit + timedelta(minutes=1),
        altogether=limit * 2 + timedelta(minutes=10),
    )


def testing(limit: timedelta) -> Profile:
    """The repository's own tests, `limit` for all commands together."""
    return _profile(
        names.WORKSPACE_QUEUE,
        one_try=limit + timedelta(minutes=1),
        altogether=limit * 2 + timedelta(minutes=10),
        cancellation=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


MAX_CALL = timedelta(minutes=10)
"""So long one call of a model or a tool may take, whatever is left of the budget."""

GIVING_UP = timedelta(seconds=10)
"""For a worker to say that its own time limit has come, before the server says it."""


def reasoning(limit: timedelta, queue: str = names.AGENTS_QUEUE) -> Profile:
    """An agent's model and tools, at most `limit` altogether: a server that is down is no hang.

    A cancellation is not waited for. It reaches the worker with its next beat, which then hangs up
    on the provider; so it beats more often than others.
    """
    return _profile(
        queue,
        one_try=min(limit, MAX_CALL) + GIVING_UP,
        altogether=limit + GIVING_UP,
        alive=timedelta(seconds=5),
    )
