"""Our errors on the wire: the type, whether it is retried, when, and what people read."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.errors import ErrorTranslation
from pilothouse.models.errors import PermanentError, TemporaryError


class Raises(ActivityInboundInterceptor):
    """The end of the chain: an activity that raises, or gives its argument back."""

    def __init__(self, error: BaseException | None) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> object:
        if self._error is not None:
            raise self._error
        return input.args[0]


async def translated(error: BaseException | None) -> object:
    """What comes out of the chain; in an activity's context, since it logs there."""
    chain = ErrorTranslation().intercept_activity(Raises(error))
    given = ExecuteActivityInput(fn=lambda: None, args=["answer"], executor=None, headers={})

    async def run() -> object:
        return await chain.execute_activity(given)

    return await ActivityEnvironment().run(run)


async def test_a_permanent_error_is_final_with_its_type_and_message() -> None:
    cause = PermanentError("RepositoryRefused", "the branch main is protected")
    with pytest.raises(ApplicationError) as raised:
        await translated(cause)
    assert raised.value.type == "RepositoryRefused"
    assert raised.value.message == "the branch main is protected"
    assert raised.value.non_retryable
    assert raised.value.__cause__ is cause


@pytest.mark.parametrize("delay", [None, timedelta(seconds=7)])
async def test_a_temporary_error_is_retried_after_the_delay_that_was_asked_for(
    delay: timedelta | None,
) -> None:
    cause = TemporaryError("ClusterUnavailable", "the API server is busy", delay)
    with pytest.raises(ApplicationError) as raised:
        await translated(cause)
    assert raised.value.type == "ClusterUnavailable"
    assert not raised.value.non_retryable
    assert raised.value.next_retry_delay == delay


@pytest.mark.parametrize(
    "error",
    [RuntimeError("a bug"), ApplicationError("ours already", type="X"), asyncio.CancelledError()],
)
async def test_anything_else_passes_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        await translated(error)
    assert raised.value is error


async def test_a_result_passes_as_it_is() -> None:
    assert await translated(None) == "answer"
