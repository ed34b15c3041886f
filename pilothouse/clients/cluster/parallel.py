"""A bounded number of things at a time, in order, and all or nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

from pilothouse.clients.cluster.throttle import CONCURRENCY

__all__ = ["CONCURRENCY", "in_parallel"]

Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_parallel(
    function: Callable[[Item], Awaitable[Result]],
    items: Sequence[Item],
    at_once: int = CONCURRENCY,
) -> list[Result]:
    """Call `function` on each item, some at a time; results in the order of the items.

    The first error cancels what still runs and is raised as it is; so does a cancellation.
    """
    results: list[Result | None] = [None] * len(items)
    places = iter(range(len(items)))

    async def work() -> None:
        for place in places:
            results[place] = await function(items[place])

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(items))):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return cast("list[Result]", results)
