"""The running product for one measurement: every service, one repository, one environment."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from git import Actor, Repo
from temporalio.client import Client

from benchmarks.api_server import ApiServer
from benchmarks.namespaces import fresh_namespace
from pilothouse.cli.demo.observer import Observer
from pilothouse.clients.settings import read_settings
from pilothouse.clients.temporal.connection import TemporalConnection, connect
from pilothouse.local.git_server.repositories import Repositories
from pilothouse.local.services import LocalServices, Progress
from pilothouse.models import names
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import PipelineResult

ENVIRONMENT = "bench"
_REPOSITORY = "applications"
_NAMESPACE = "pilothouse-bench"
_SOMEBODY = Actor("Robin Reader", "robin@example.org")
_CONNECTIONS = 8
"""Of the measuring side: four watches and single requests."""
_WORKERS = ("worker", "worker-cluster")


@dataclass
class Product:
    """Everything that a push goes through, and a clone to push from."""

    services: LocalServices
    client: Client
    repo: Repo
    server: ApiServer
    kubeconfig: Path
    """The measuring side's; the worker of an embedded cluster has the deployer's."""
    namespace: str

    @property
    def folder(self) -> Path:
        """Where the manifests stand in the clone."""
        return Path(self.repo.working_dir) / "manifests"

    @property
    def worker_pids(self) -> list[int]:
        """The worker processes: one for the cluster's queue, one for all others."""
        return [pid for name in _WORKERS if (pid := self.services.pid(name))]

    @property
    def slug(self) -> str:
        """The repository in workflow ids."""
        return RepositoryRef(url=f"{self.services.addresses.git}/{_REPOSITORY}.git").slug

    def commit(self, message: str) -> str:
        """Commit what stands in the clone, if only the message; returns the commit id."""
        self.repo.git.add("--all")
        return self.repo.index.commit(message, author=_SOMEBODY, committer=_SOMEBODY).hexsha

    async def push(self) -> None:
        """`git push`; the Git server's webhook goes out meanwhile."""
        await asyncio.to_thread(self.repo.git.push, "origin", "HEAD:refs/heads/main")

    async def finished(self, revision: str) -> PipelineResult:
        """Wait for the end of the run of a push."""
        return await Observer(self.client, self.slug).run(revision, "push")

    def workflow_ids(self, revision: str) -> tuple[str, str]:
        """The run and its deployment."""
        run = names.pipeline_id(self.slug, "push", revision)
        return run, names.deployment_id(self.slug, ENVIRONMENT, revision)


@asynccontextmanager
async def running_product(kubeconfig: Path | None, progress: Progress) -> AsyncIterator[Product]:
    """Start the product as `pilothouse up` does, in a scratch directory that goes at the end.

    Args:
        kubeconfig: of the cluster to deploy to, with rights to make a namespace; None starts the
            embedded control plane.
        progress: told what is started and stopped.
    """
    async with AsyncExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pilothouse-bench-")))
        services = LocalServices(root / "services", repositories=[_REPOSITORY], progress=progress)
        Repositories(services.repositories_dir).create(_REPOSITORY)
        stack.push_async_callback(services.stop)
        await services.start()
        if kubeconfig is None:
            settings = read_settings()
            await services.start_cluster(
                control_plane_dir=settings.control_plane_dir,
                cache=settings.cache_dir,
                namespaces=[_NAMESPACE],
            )
            namespace, admin = _NAMESPACE, Path(services.addresses.admin_kubeconfig)
            server = await stack.enter_async_context(await _connected(admin))
        else:
            admin = kubeconfig.absolute()
            server = await stack.enter_async_context(await _connected(admin))
            namespace = await stack.enter_async_context(fresh_namespace(server, _NAMESPACE))
            await services.start_cluster_worker(admin)
        client = await connect(TemporalConnection(address=services.addresses.temporal))
        repo = _clone(root / "clone", f"{services.addresses.git}/{_REPOSITORY}.git", namespace)
        yield Product(services, client, repo, server, admin, namespace)


async def _connected(kubeconfig: Path) -> ApiServer:
    return await ApiServer.connect(kubeconfig, connections=_CONNECTIONS)


def _clone(folder: Path, url: str, namespace: str) -> Repo:
    repo = Repo.init(folder, initial_branch="main")
    repo.create_remote("origin", url)
    (folder / "pipeline.yaml").write_text(_pipeline_file(namespace), encoding="utf-8")
    return repo


def _pipeline_file(namespace: str) -> str:
    """The usual pipeline: what was validated is deployed."""
    pipeline = {
        "manifests": "manifests",
        "agents": {
            "validator": {"trigger": "webhook.push"},
            "deployer": {"trigger": "status.validated"},
        },
        "environments": {ENVIRONMENT: {"namespace": namespace, "health_timeout": "10m"}},
        # Any cluster will do, and few have an ingress controller that gives an address.
        "health_checks": [
            {"api_version": "networking.k8s.io/v1", "kind": "Ingress", "current": "true"}
        ],
    }
    return yaml.safe_dump({"pipeline": pipeline}, sort_keys=False)
