"""One dev server for all workflow tests, and a world of its own for each."""

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
from temporalio.client import Client

from tests.workflow.world import World, dev_server, revision, two_environments, working


@pytest.fixture(scope="session")
async def client() -> AsyncIterator[Client]:
    async with dev_server() as connected:
        yield connected


@pytest.fixture
def rev() -> Callable[[str], str]:
    """Makes commit ids from words."""
    return revision


@pytest.fixture
def world() -> World:
    """Two environments, production behind an approval; a repository of its own for each test."""
    return two_environments(f"http://localhost:1/{uuid4().hex[:12]}.git")


@pytest.fixture
async def workers(client: Client, world: World) -> AsyncIterator[World]:
    """A worker on each queue, as in production, with the world's activities."""
    async with working(client, world):
        yield world
