"""One log line for each activity's end; every line within it carries the commit."""

import time
from typing import Any

import structlog
from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

_log = structlog.get_logger("activities")


class Logs(Interceptor):
    """Binds the commit of the request, and says how each activity ended and how long it took."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Put the logging around the chain of interceptors."""
        return _Logging(super().intercept_activity(next))


class _Logging(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(**_commit(input)):
            try:
                result = await self.next.execute_activity(input)
            except BaseException as error:
                # Logged by kind only: the message goes to the history, where it is cared for.
                _log.warning(
                    "activity failed",
                    error=type(error).__name__,
                    attempt=activity.info().attempt,
                    seconds=round(time.monotonic() - started, 3),
                )
                raise
            _log.info("activity done", seconds=round(time.monotonic() - started, 3))
            return result


def _commit(input: ExecuteActivityInput) -> dict[str, str]:
    request = input.args[0] if input.args else None
    snapshot = getattr(request, "snapshot", request)
    revision = getattr(request, "revision", None) or getattr(snapshot, "revision", None)
    return {"commit": revision} if isinstance(revision, str) else {}
