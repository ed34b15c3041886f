"""The worker beats for every activity, so that its death is noticed within one heartbeat timeout.

Without it, Temporal would wait for the whole start-to-close timeout of whatever a killed worker was
doing. Activities may beat with progress of their own; what they said last is repeated.
"""

import asyncio
import time
from typing import Any

from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

BEATS = 3
"""Beats within one heartbeat timeout."""
PROGRESS_SECONDS = 0.5
"""An activity may tell its progress more often than that; only the newest word goes on."""


class Liveness(Interceptor):
    """Beats for every activity that has a heartbeat timeout, as long as the worker lives."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Put the beating around the chain of interceptors."""
        return _Beating(super().intercept_activity(next))


class _Beating(ActivityInboundInterceptor):
    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        self._outbound = _Remembering(outbound)
        super().init(self._outbound)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        timeout = activity.info().heartbeat_timeout
        if timeout is None:
            return await self.next.execute_activity(input)
        beating = asyncio.create_task(self._beat(timeout.total_seconds() / BEATS))
        try:
            return await self.next.execute_activity(input)
        finally:
            beating.cancel()

    async def _beat(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            self._outbound.heartbeat(*self._outbound.said)


class _Remembering(ActivityOutboundInterceptor):
    """Keeps the details of the activity's own last beat; each costs more than it looks."""

    def __init__(self, next: ActivityOutboundInterceptor) -> None:
        super().__init__(next)
        self.said: tuple[Any, ...] = ()
        self._passed_on = -PROGRESS_SECONDS

    def heartbeat(self, *details: Any) -> None:
        self.said = details
        now = time.monotonic()
        if now - self._passed_on >= PROGRESS_SECONDS:
            self._passed_on = now
            super().heartbeat(*details)
