"""Requests in flight: never more than the gate allows, half as many when the server is busy."""

import asyncio

import pytest

from pilothouse.clients.cluster.parallel import in_parallel
from pilothouse.clients.cluster.throttle import Throttle


async def test_no_more_are_inside_than_the_gate_is_wide() -> None:
    throttle, inside, most = Throttle(3), 0, 0

    async def one(number: int) -> int:
        nonlocal inside, most
        async with throttle:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
        return number

    assert await in_parallel(one, range(50), 20) == list(range(50))
    assert most == 3


async def test_a_burst_of_refusals_halves_it_once_and_answers_widen_it_again() -> None:
    throttle = Throttle(16)
    for _ in range(10):
        throttle.narrow()
    assert throttle.width == 8
    for _ in range(8 + 9):
        throttle.widen()
    # One more a round of answers.
    assert throttle.width in {9, 10}
    for _ in range(500):
        throttle.widen()
    assert throttle.width == 16


async def test_who_gives_up_waiting_passes_the_turn_on() -> None:
    throttle = Throttle(1)
    done: list[str] = []

    async def wait(name: str) -> None:
        async with throttle:
            done.append(name)

    async with throttle:
        first, second = asyncio.create_task(wait("first")), asyncio.create_task(wait("second"))
        await asyncio.sleep(0)
    # It is the first one's turn now, and it is gone before it runs.
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 1)
    assert done == ["second"]


async def test_the_first_error_of_many_is_raised_as_it_is() -> None:
    async def fail(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        await asyncio.sleep(10)
        return number

    with pytest.raises(ValueError, match="three"):
        await in_parallel(fail, range(10), 10)
