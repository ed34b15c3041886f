"""The whole product on embedded services, for the tests that tell a story from push to end."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from git import Repo
from kubernetes.aio import client as kube
from kubernetes.aio import config
from temporalio.client import Client

from pilothouse.cli.demo.author import PERSON, Author, first_commit
from pilothouse.cli.demo.observer import Observer
from pilothouse.cli.demo.story import CRASHING, GOOD
from pilothouse.clients.settings import read_settings
from pilothouse.clients.temporal.connection import TemporalConnection, connect
from pilothouse.local.controlplane import grant_environment
from pilothouse.local.git_server.repositories import Repositories
from pilothouse.local.services import LocalServices
from pilothouse.models import names
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import PipelineResult

PROJECTS = (
    "straight",
    "killed-0",
    "killed-1",
    "killed-2",
    "killed-3",
    "killed-4",
    "typed",
    "wrong",
    "fixed",
    "failing",
    "hurried",
    "drifting",
)
WORKERS = ("worker", "worker-cluster")


@dataclass
class Project:
    """One repository with the example in it, and a person who works on it."""

    name: str
    repository: RepositoryRef
    author: Author
    see: Observer
    stack: "Stack"

    def namespace(self, environment: str) -> str:
        return f"{self.name}-{environment}"

    async def push(self, message: str, *edits: tuple[str, str, str]) -> str:
        revision = await asyncio.to_thread(self.author.change, "main", message, *edits)
        await asyncio.to_thread(self.author.push, "refs/heads/main")
        return revision

    async def good(self) -> str:
        """Push the good commit."""
        return await self.push("Serve model v1.2.1", *GOOD)

    async def question(self, revision: str, event: str = "push") -> str:
        """Wait until production asks; returns the plan's digest."""
        asked = await self.see.question(revision, {"staging"}, event)
        assert asked is not None, "the run ended without a question"
        return asked.plan

    async def approve(self, revision: str) -> PipelineResult:
        plan = await self.question(revision)
        deployment = names.deployment_id(self.repository.slug, "production", revision)
        handle = self.stack.client.get_workflow_handle(deployment)
        claim = {"by": "lead@example.org", "plan": plan}
        await handle.signal(names.SIGNAL_APPROVE, claim)
        return await self.see.run(revision, "push")

    async def bad(self) -> str:
        return await self.push("Serve model v1.3.0", *CRASHING)


@dataclass
class Stack:
    """The services, and what the tests may do to them."""

    services: LocalServices
    client: Client
    root: Path

    kills: int = 0
    _killing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def kill_workers(self) -> None:
        """kill -9 both workers and start them again; one such accident after the other."""
        async with self._killing:
            await self._kill_workers()
            self.kills += 1

    async def _kill_workers(self) -> None:
        for name in WORKERS:
            pid = self.services.pid(name)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        for name in WORKERS:
            async with asyncio.timeout(10):
                while self.services.pid(name) is not None:
                    await asyncio.sleep(0.01)
            await self.services.restart(name)

    async def project(self, name: str) -> Project:
        repository = RepositoryRef(url=f"{self.services.addresses.git}/{name}.git")
        for environment in ("staging", "production"):
            await grant_environment(
                Path(self.services.addresses.admin_kubeconfig), f"{name}-{environment}"
            )
        author = Author(self.root / f"clone-{name}", repository.url)
        await asyncio.to_thread(author.clone)
        return Project(name, repository, author, Observer(self.client, repository.slug), self)

    async def cluster(self) -> kube.ApiClient:
        return await config.new_client_from_config(self.services.addresses.admin_kubeconfig)


def _seed(services: LocalServices, root: Path, name: str) -> None:
    """A repository whose environments have namespaces of their own."""
    repositories = Repositories(services.repositories_dir)
    bare = repositories.create(name)
    source = first_commit(root / "seed" / name)
    pipeline = root / "seed" / name / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("model-api-", f"{name}-"))
    source.index.add(["pipeline.yaml"])
    source.index.commit("Deploy to namespaces of our own", author=PERSON, committer=PERSON)
    Repo(bare).git.fetch("-q", str(source.working_dir), "main:main")


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    root = tmp_path_factory.mktemp("stack")
    settings = read_settings()
    services = LocalServices(root / "services", repositories=PROJECTS, progress=print)
    for name in PROJECTS:
        _seed(services, root, name)
    try:
        await services.start()
        await services.start_cluster(
            control_plane_dir=settings.control_plane_dir,
            cache=settings.cache_dir,
            namespaces=("straight-staging",),
        )
        client = await connect(TemporalConnection(address=services.addresses.temporal))
        yield Stack(services, client, root)
    finally:
        await services.stop()
