"""Our errors become Temporal's in one place."""

from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from pilothouse.models.errors import PermanentError, TemporaryError


class ErrorTranslation(Interceptor):
    """Maps `PermanentError` and `TemporaryError` of every activity to `ApplicationError`.

    The wire type is the error's `type`; a permanent one is not retried, a temporary one after the
    delay that the other side asked for. Anything else is a bug of ours and is retried as it is.
    """

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Put the translation around the chain of interceptors."""
        return _Translator(super().intercept_activity(next))


class _Translator(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await self.next.execute_activity(input)
        except PermanentError as error:
            raise ApplicationError(str(error), type=error.type, non_retryable=True) from error
        except TemporaryError as error:
            activity.logger.warning("temporary failure: %s", error)
            raise ApplicationError(
                str(error), type=error.type, next_retry_delay=error.delay
            ) from error
