"""Public repositories through the whole product: push, validate, plan, apply, wait for health.

    python benchmarks/real_repositories.py FOLDER [--only WORD]

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
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree

import yaml
from git import Actor, Repo
from temporalio.client import Client

from pilothouse.cli.demo.observer import Observer
from pilothouse.clients.folder import validate_folder
from pilothouse.clients.logging import configure_logging
from pilothouse.clients.settings import read_settings
from pilothouse.clients.temporal.connection import TemporalConnection, connect
from pilothouse.local.git_server.repositories import Repositories
from pilothouse.local.services import LocalServices
from pilothouse.models import names
from pilothouse.models.findings import Finding, ValidationReport
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import PipelineResult, StageReport

MOST_REASONS = 3
SOMEBODY = Actor("Robin Reader", "robin@example.org")


@dataclass(frozen=True)
class Case:
    """One push. Cases of the same project are commits of one repository, one after the other."""

    project: str
    name: str
    repository: str
    """The folder with the original files."""
    manifests: str
    """What the pipeline file points at."""
    environments: Mapping[str, str]
    """Environment -> namespace; each after the one before it."""
    administrator: bool = False
    """The manifests bring namespaces, definitions or roles: more than a deployer may write."""
    absent: tuple[str, ...] = ()
    """Original files that are left out."""
    stand_ins: tuple[str, ...] = ()
    """Files that kustomizations name and that the folder lacks; their text is made up."""
    health_timeout: str = "3m"


_PODINFO_OVERLAYS = {"dev": "dev", "staging": "staging", "production": "production"}
CASES = (
    Case(
        project="shop-kustomize",
        name="kubernetes-manifests (kustomize)",
        repository="microservices-demo",
        manifests="kubernetes-manifests",
        environments={"live": "shop-kustomize"},
    ),
    Case(
        project="shop-release",
        name="release (plain)",
        repository="microservices-demo",
        manifests="release/kubernetes-manifests.yaml",
        environments={"live": "shop-release"},
    ),
    Case(
        project="podinfo-base",
        name="kustomize (base)",
        repository="podinfo",
        manifests="kustomize",
        environments={"live": "podinfo-base"},
    ),
    Case(
        project="podinfo-overlays",
        name="deploy/overlays",
        repository="podinfo",
        manifests="deploy",
        environments=_PODINFO_OVERLAYS,
        administrator=True,
    ),
    Case(
        project="podinfo-overlays",
        name="deploy/overlays, missing files made up",
        repository="podinfo",
        manifests="deploy",
        environments=_PODINFO_OVERLAYS,
        administrator=True,
        stand_ins=(
            "deploy/bases/cache/redis.conf",
            "deploy/bases/database/scripts/backup.sh",
            "deploy/bases/database/scripts/rollup.sh",
            "deploy/bases/frontend/scripts/warm-cache-init.sh",
            "deploy/bases/frontend/scripts/warm-cache.sh",
        ),
    ),
    Case(
        project="kube-prometheus",
        name="manifests with setup",
        repository="kube-prometheus",
        manifests="manifests",
        environments={"live": "monitoring"},
        administrator=True,
        health_timeout="90s",
    ),
    Case(
        project="kube-prometheus",
        name="manifests with setup, without the APIService",
        repository="kube-prometheus",
        manifests="manifests",
        environments={"live": "monitoring"},
        administrator=True,
        absent=("manifests/prometheusAdapter-apiService.yaml",),
    ),
)
VALIDATED = ("microservices-demo", "podinfo", "kube-prometheus", "flux2-kustomize-helm-example")


# -- validation ------------------------------------------------------------------------------------


def validate(originals: Path, repository: str) -> dict[str, object]:
    """Validate a repository's whole folder, as `pilothouse validate` does."""
    started = time.monotonic()
    report = validate_folder(originals / repository)
    seconds = time.monotonic() - started
    return {
        "repository": repository,
        "case": "validate the whole folder",
        "objects": report.objects,
        "validate_s": round(seconds, 2),
        "outcome": report.verdict,
        **_counted(report),
        "rules": Counter(f"{found.severity} {found.rule}" for found in report.findings),
        "refused": _reasons(report.findings),
    }


def _counted(report: ValidationReport) -> dict[str, int]:
    severities = Counter(found.severity for found in report.findings)
    return {"errors": severities["error"], "warnings": severities["warning"]}


def _reasons(findings: tuple[Finding, ...]) -> list[str]:
    errors = [found for found in findings if found.severity == "error"]
    return [f"{e.file}:{e.line} [{e.rule}] {e.message}" for e in errors[:MOST_REASONS]]


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
        sizes = await _history_sizes(self.client, repository.slug, revision, case)
        whole = {
            "rights": "administrator" if case.administrator else "deployer",
            "run_s": round(time.monotonic() - started, 1),
            **sizes,
        }
        return [line | whole for line in _lines(case, result)]

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


def _lines(case: Case, result: PipelineResult) -> Iterator[dict[str, object]]:
    """One line for each environment that was tried; one, if the run ended before any."""
    validator = next((stage for stage in result.stages if stage.validation), None)
    deployments = [stage for stage in result.stages if stage.deployment]
    for stage in deployments or (None,):
        yield {
            "repository": case.repository,
            "case": case.name + (f": {stage.environment}" if stage and stage.environment else ""),
            **_validated(validator),
            **_deployed(stage),
            "outcome": stage.deployment.outcome if stage and stage.deployment else result.outcome,
            "refused": _refused(result, validator, stage),
        }


def _validated(stage: StageReport | None) -> dict[str, object]:
    if stage is None or stage.validation is None:
        return {"objects": 0}
    report = stage.validation
    seconds = round(stage.seconds, 2)
    return {"objects": report.objects, "validate_s": seconds, **_counted(report)}


def _deployed(stage: StageReport | None) -> dict[str, object]:
    """Seconds from the start of the deployment to the last write, and from there to healthy."""
    if stage is None or stage.deployment is None:
        return {}
    health = stage.deployment.health
    waited = health.seconds if health else 0.0
    found: dict[str, object] = {"deploy_s": round(stage.deployment.seconds - waited, 1)}
    if health is None:
        return found
    return found | {"objects": health.objects, "healthy_s": round(waited, 1)}


def _refused(
    result: PipelineResult, validator: StageReport | None, stage: StageReport | None
) -> list[str]:
    """The first reasons, from wherever the run came to its end."""
    if validator and validator.validation and validator.validation.verdict == "block":
        return _reasons(validator.validation.findings)
    if stage is None or stage.deployment is None:
        return [result.message] if result.message else []
    deployment = stage.deployment
    reasons = [*_reasons(deployment.plan.findings)] if deployment.plan else []
    if deployment.apply:
        reasons += [f"{p.object}: {p.result} {p.message}" for p in deployment.apply.problems]
    if deployment.health:
        reasons += [f"{w.object}: {w.status}: {w.message}" for w in deployment.health.waiting_for]
    if deployment.outcome != "deployed":
        reasons.append(deployment.message)
    return reasons[:MOST_REASONS]


async def _history_sizes(client: Client, slug: str, revision: str, case: Case) -> dict[str, object]:
    """How large the histories of the run and of its deployments became."""
    total = largest = 0
    ids = [names.pipeline_id(slug, "push", revision)]
    ids += [names.deployment_id(slug, name, revision) for name in case.environments]
    observer = Observer(client, slug)
    for workflow_id in ids:
        if not await observer.exists(workflow_id):
            continue
        history = await client.get_workflow_handle(workflow_id).fetch_history()
        total += sum(event.ByteSize() for event in history.events)
        largest = max([largest, *_payload_sizes(history.to_json_dict())])
    return {"history_bytes": total, "largest_payload_bytes": largest}


def _payload_sizes(value: object) -> Iterator[int]:
    """Bytes of every payload in a history's JSON."""
    if isinstance(value, dict):
        data = value.get("data")
        if "metadata" in value and isinstance(data, str):
            yield len(data) * 3 // 4
        for item in value.values():
            yield from _payload_sizes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _payload_sizes(item)


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
    for repository in VALIDATED:
        if arguments.only in repository and (originals / repository).is_dir():
            _print(validate(originals, repository))
    cases = [
        case
        for case in CASES
        if arguments.only in f"{case.repository} {case.project} {case.name}"
        and (originals / case.repository).is_dir()
    ]
    if not cases:
        _say(f"{originals} holds none of the repositories: see benchmarks/README.md")
        return 1
    async with running_bench(originals, cases) as bench:
        for case in cases:
            for line in await bench.run(case):
                _print(line)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
