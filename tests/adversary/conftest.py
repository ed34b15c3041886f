"""An event loop for thousands of runs, and how many there are."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile("adversary")
BOUNDED: Final = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
T = TypeVar("T")


def all_of(number: int, *, here: int) -> int:
    """So many in `make adversary`, and `here` in `make test`."""
    return number if settings.get_current_profile_name() == "adversary" else here


class _Inline(ThreadPoolExecutor):
    """Runs at once what is meant for a thread: changing threads would take a third of the time."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # it is whoever waits for the result that gets it
            done.set_exception(error)
        return done


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that waits for nobody."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_Inline())
    yield loop
    loop.close()
