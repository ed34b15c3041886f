"""Public repositories through the whole product: push, validate, plan, apply, wait for health.

    python -m benchmarks.real_repositories FOLDER [--only WORD]

FOLDER holds the repositories that `README.md` beside this file names. Everything else is started
here, in a scratch directory, and stopped at the end: Temporal, Git server, bridge, workers, a real
Kubernetes control plane with simulated nodes. Each result is one line of JSON.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree

import yaml
from git import Actor, Repo
from temporalio.client import Client

from benchmarks.measurements import (
    Case,
    history_sizes,
    push_lines,
    read_plan,
    validation_line,
)
from pilothouse.cli.demo.observer import Observer
from pilothouse.clients.logging import configure_logging
from pilothouse.clients.settings import read_settings
from pilothouse.clients.temporal.connection import TemporalConnection, connect
from pilothouse.local.git_server.repositories import Repositories
from pilothouse.local.services import LocalServices
from pilothouse.models.repository import RepositoryRef

SOMEBODY = Actor("Robin Reader", "robin@example.org")


# -- one push --------------------------------------------------------------------------------------


def pipeline_file(case: Case) -> str:
    """The pipeline file of one case: a validator, a deployer, and the environments in order."""
    environments: dict[str, dict[str, object]] = {}
    for name, namespace in case.environments.items():
        declared: dict[str, object] = {
            "namespace": namespace,
            "health_timeout": case.health_timeout,
            "cluster_scoped": case.administrator,
        }
        if environments:
            declared["after"] = next(reversed(environments))
        environments[name] = declared
    agents = {
        "validator": {"trigger": "webhook.push"},
        "deployer": {"trigger": "status.validated"},
    }
    pipeline = {"manifests": case.manifests, "agents": agents, "environments": environments}
    return yaml.safe_dump({"pipeline": pipeline}, sort_keys=False)


@dataclass
class Bench:
    """The running product, and what is pushed into it."""

    originals: Path
    scratch: Path
    services: LocalServices
    client: Client
    administrator: bool = False
    clones: dict[str, Repo] = field(default_factory=dict)

    async def run(self, case: Case) -> list[dict[str, object]]:
        """Push one case and wait for its run; one line for each environment."""
        if case.administrator and not self.administrator:
            await self._become_administrator()
        revision = await asyncio.to_thread(self._push, case)
        repository = RepositoryRef(url=f"{self.services.addresses.git}/{case.project}.git")
        observer = Observer(self.client, repository.slug)
        started = time.monotonic()
        result = await observer.run(revision, "push")
        sizes = await history_sizes(self.client, repository.slug, revision, case)
        whole = {
            "rights": "administrator" if case.administrator else "deployer",
            "run_s": round(time.monotonic() - started, 1),
            **sizes,
        }
        return [line | whole for line in push_lines(case, result)]

    async def _become_administrator(self) -> None:
        """Serve the cluster's queue with rights that no deployer should have, from now on."""
        pid = self.services.pid("worker-cluster")
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        async with asyncio.timeout(30):
            # It is a process of its own: there is no event to wait on.
            while self.services.pid("worker-cluster") is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await self.services.start_cluster_worker(Path(self.services.addresses.admin_kubeconfig))
        self.administrator = True

    def _push(self, case: Case) -> str:
        repo = self._clone(case)
        root = Path(repo.working_dir)
        for name in case.absent:
            (root / name).unlink()
        for name in case.stand_ins:
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text("# Made up: the original is not in this copy.\n", "utf-8")
        (root / "pipeline.yaml").write_text(pipeline_file(case), "utf-8")
        repo.git.add("--all")
        commit = repo.index.commit(case.name, author=SOMEBODY, committer=SOMEBODY)
        repo.git.push("origin", "HEAD:refs/heads/main")
        return commit.hexsha

    def _clone(self, case: Case) -> Repo:
        if case.project not in self.clones:
            folder = self.scratch / "clones" / case.project
            copytree(self.originals / case.repository, folder)
            repo = Repo.init(folder, initial_branch="main")
            repo.create_remote("origin", f"{self.services.addresses.git}/{case.project}.git")
            self.clones[case.project] = repo
        return self.clones[case.project]


# -- the program -----------------------------------------------------------------------------------


@asynccontextmanager
async def running_bench(originals: Path, cases: list[Case]) -> AsyncIterator[Bench]:
    """Start the product in a scratch directory; stop and remove all of it at the end."""
    settings = read_settings()
    projects = list(dict.fromkeys(case.project for case in cases))
    ours = [
        space for case in cases if not case.administrator for space in case.environments.values()
    ]
    with tempfile.TemporaryDirectory(prefix="pilothouse-bench-") as scratch:
        root = Path(scratch)
        services = LocalServices(root / "services", repositories=projects, progress=_say)
        repositories = Repositories(services.repositories_dir)
        for project in projects:
            repositories.create(project)
        try:
            await services.start()
            await services.start_cluster(
                control_plane_dir=settings.control_plane_dir,
                cache=settings.cache_dir,
                namespaces=ours or ["bench"],
            )
            client = await connect(TemporalConnection(address=services.addresses.temporal))
            yield Bench(originals, root, services, client)
        finally:
            await services.stop()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _print(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def main() -> int:
    """Run what was asked for; exit code 1 if nothing of it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="the folder with the repositories")
    parser.add_argument("--only", default="", help="cases whose project or name has this word")
    arguments = parser.parse_args()
    configure_logging("warning", json=False)
    originals: Path = arguments.folder.absolute()
    plan = read_plan()
    whole = [
        repository
        for repository in plan.validate
        if arguments.only in repository and (originals / repository).is_dir()
    ]
    for repository in whole:
        _print(validation_line(originals, repository))
    cases = [
        case
        for case in plan.pushes
        if arguments.only in f"{case.repository} {case.project} {case.name}"
        and (originals / case.repository).is_dir()
    ]
    if not cases:
        if not whole:
            _say(f"{originals} holds nothing of it: see benchmarks/README.md")
        return 0 if whole else 1
    async with running_bench(originals, cases) as bench:
        for case in cases:
            for line in await bench.run(case):
                _print(line)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
