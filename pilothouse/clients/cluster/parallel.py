"""A bounded number of requests at a time, in order, and all or nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

CONCURRENCY: Final = 8
"""Requests in flight per call: beyond it a small API server gets slower, not faster."""

Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_parallel(
    function: Callable[[Item], Awaitable[Result]], items: Sequence[Item]
) -> list[Result]:
    """Call `function` on each item, eight at a time; results in the order of the items.

    The first error cancels what still runs and is raised as it is; so does a cancellation.
    """
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(item: Item) -> Result:
        async with gate:
            return await function(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
