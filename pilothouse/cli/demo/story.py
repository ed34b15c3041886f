"""The demo: four chapters on real services."""

import asyncio
import sys
import sysconfig
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from temporalio.client import Client

from pilothouse.cli.demo.advisers import advice_lines, advised_by, model_name, served
from pilothouse.cli.demo.author import EXAMPLE, Author
from pilothouse.cli.demo.narrator import Narrator
from pilothouse.cli.demo.observer import Observer
from pilothouse.cli.demo.standing import NAMESPACES, seed
from pilothouse.clients.settings import read_settings
from pilothouse.clients.temporal.connection import TemporalConnection, connect
from pilothouse.gitops.reports.commands import approve_line
from pilothouse.local.services import LocalServices
from pilothouse.models import names
from pilothouse.models.findings import Finding
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import DeploymentResult, PipelineResult, RepositoryRequest

APPROVER = "lead@example.org"
BROKEN = (
    ("manifests/deployment.yaml", "replicas: {{replicas}}", 'replicas: "two"'),
    ("manifests/deployment.yaml", "containerPort: 8080", "containerport: 8080"),
    ("manifests/service.yaml", "targetPort: http", "targetPort: web"),
)
GOOD = (("configs/values.yaml", "model_version: v1.2.0", "model_version: v1.2.1"),)
CRASHING = (
    ("configs/values.yaml", "model_version: v1.2.1", "model_version: v1.3.0"),
    (
        "manifests/deployment.yaml",
        "simulator.pilothouse.dev/behavior: run",
        "simulator.pilothouse.dev/behavior: crash-loop\n"
        '        simulator.pilothouse.dev/log: "FATAL cannot load model v1.3.0: checksum differs"',
    ),
)


async def tell(*, keep: bool, model: str = "") -> bool:
    """Run the whole story; returns whether everything ended as it should.

    Args:
        keep: leave the services running until Enter.
        model: `local`, or `provider:model`, which validator and deployer ask; empty: rules alone.
    """
    narrator = Narrator()
    narrator.line(
        "Pilothouse: everything runs on this machine. Temporal, the Git server and the", 0
    )
    narrator.line("Kubernetes control plane are real; the Kubernetes nodes are simulated.", 0)
    with tempfile.TemporaryDirectory(prefix="pilothouse-demo-", ignore_cleanup_errors=True) as root:
        services = LocalServices(Path(root), repositories=(EXAMPLE,), progress=narrator.progress)
        stack = AsyncExitStack()
        try:
            edits = advised_by(model_name(model)) if model else ()
            seed(services.repositories_dir, EXAMPLE, *edits)
            given = await stack.enter_async_context(served(model, Path(root) / "model", narrator))
            async with narrator.waiting("starting Temporal, Git server, bridge and worker"):
                await services.start()
                if model:
                    await services.start_agents_worker(given)
            client = await connect(TemporalConnection(address=services.addresses.temporal))
            story = Story(narrator, services, client, Path(root) / "clone")
            succeeded = await story.tell()
            if keep:
                await _until_enter(narrator, services)
        finally:
            async with narrator.waiting("stopping everything"):
                await services.stop()
                await stack.aclose()
    return succeeded


async def _until_enter(narrator: Narrator, services: LocalServices) -> None:
    narrator.line()
    narrator.line("Look around; the services run until you press Enter:", 0)
    narrator.command(f"export TEMPORAL_ADDRESS={services.addresses.temporal}")
    narrator.command(f"export KUBECONFIG={services.addresses.admin_kubeconfig}")
    narrator.command(f"export PATH={_programs()}:$PATH   # temporal, kubectl, pilothouse")
    await asyncio.to_thread(sys.stdin.readline)


def _programs() -> Path:
    return Path(sysconfig.get_path("scripts"))


class Story:
    """The chapters, in order."""

    def __init__(
        self, narrator: Narrator, services: LocalServices, client: Client, clone: Path
    ) -> None:
        self._say = narrator
        self._services = services
        self._client = client
        self._repository = RepositoryRef(url=f"{services.addresses.git}/{EXAMPLE}.git")
        self._author = Author(clone, self._repository.url)
        self._see = Observer(client, self._repository.slug)
        self._rows: list[tuple[str, ...]] = []

    async def tell(self) -> bool:
        """All chapters; returns whether each ended as it should."""
        ui = self._services.addresses.web_ui
        self._say.line(f"Temporal Web UI: {ui}")
        # The demo's own pushes are all that shall happen: no looking at heads in between.
        await self._client.start_workflow(
            names.REPOSITORY_WORKFLOW,
            RepositoryRequest(repository=self._repository, poll_seconds=0),
            id=names.repository_id(self._repository.slug),
            task_queue=names.WORKFLOW_QUEUE,
        )
        settings = read_settings()
        # It may have to be built first: pull requests need no cluster, so the story begins.
        cluster = asyncio.create_task(
            self._services.start_cluster(
                control_plane_dir=settings.control_plane_dir,
                cache=settings.cache_dir,
                namespaces=NAMESPACES,
            )
        )
        try:
            self._author.clone()
            good = [await self._pull_request()]
            async with self._say.waiting("starting the Kubernetes control plane and its nodes"):
                await cluster
        finally:
            cluster.cancel()
            await asyncio.gather(cluster, return_exceptions=True)
        good += [await self._good_commit(), await self._bad_commit()]
        self._say.table(("commit", "stage", "outcome", "seconds"), self._rows)
        self._say.line(f"Temporal Web UI: {ui}", 0)
        return all(good)

    async def _pull_request(self) -> bool:
        self._say.chapter("1. A pull request with a broken manifest is validated, not deployed")
        revision = self._push("change-ports", "Serve on another port", "refs/pull/1/head", *BROKEN)
        async with self._say.waiting("validating"):
            result = await self._see.run(revision, "pull-1")
        self._remember("pull request", result)
        findings = [
            f for stage in result.stages if stage.validation for f in stage.validation.findings
        ]
        told = [finding for finding in findings if finding.severity != "info"]
        for finding in told:
            self._tell_finding(finding)
        if notes := len(findings) - len(told):
            self._say.line(f"and {notes} notes")
        self._tell_advice(result)
        deployed = any(stage.deployment for stage in result.stages)
        self._say.line(f"{result.outcome}; nothing was deployed")
        return result.outcome == "blocked" and not deployed

    async def _good_commit(self) -> bool:
        self._say.chapter("2. A good commit on main: staging by itself, production by a person")
        revision = self._push("main", "Serve model v1.2.1", "refs/heads/main", *GOOD)
        result = await self._through(revision, "validate, test, deploy to staging")
        self._remember("good", result)
        self._say.line(
            f"{result.outcome}; recorded on pilothouse/status in "
            f"{names.short(result.status_commit)}"
        )
        return result.outcome == "succeeded"

    async def _through(self, revision: str, what: str) -> PipelineResult:
        """Wait for the end of a run, and answer what it asks on the way, as a person would."""
        answered: set[str] = set()
        while True:
            async with self._say.waiting(what):
                asked = await self._see.question(revision, answered)
            if asked is None:
                break
            staging = asked.environment == "staging"
            why = "a model asks for a person" if staging else "staging is healthy"
            self._say.line(f"{why}; {asked.environment} waits with plan {names.short(asked.plan)}")
            await self._approve(asked.deployment, asked.plan)
            answered.add(asked.environment)
            what = f"deploy to {asked.environment}"
        result = await self._see.run(revision, "push")
        self._tell_advice(result)
        return result

    async def _approve(self, deployment: str, plan: str) -> None:
        """Print the line that a person would type, and type it."""
        program = _programs() / "temporal"
        line = approve_line(deployment, plan, by=APPROVER)
        self._say.line("A person approves with this line, which the demo now sends:")
        address = self._services.addresses.temporal
        self._say.command(f"{line} \\\n  --address {address}")
        await self._see.type(program, line, address)

    async def _bad_commit(self) -> bool:
        self._say.chapter("3. A commit that is valid but does not start is rolled back through Git")
        revision = self._push("main", "Serve model v1.3.0", "refs/heads/main", *CRASHING)
        result = await self._through(
            revision, "validate, test, deploy, find it unhealthy, roll back"
        )
        self._remember("bad", result)
        staging = next((s.deployment for s in result.stages if s.deployment is not None), None)
        if staging is None:
            self._say.line(f"{result.outcome}: it came to no deployment")
            return False
        self._tell_failure(staging)
        return result.outcome == "rolled_back" and await self._agreement(staging)

    def _tell_failure(self, staging: DeploymentResult) -> None:
        if staging.diagnosis is not None:
            self._say.line(f"cause: {staging.diagnosis.cause}: {staging.diagnosis.summary}")
            for evidence in staging.diagnosis.evidence[:4]:
                self._say.line(f"{evidence.kind} of {evidence.source}: {evidence.text}", 5)
        if staging.rollback is not None:
            self._say.line(staging.rollback.message)

    async def _agreement(self, staging: DeploymentResult) -> bool:
        """Whether Git, the cluster and the environment tell the same."""
        revert = staging.rollback.revert_commit if staging.rollback else ""
        head = self._author.head()
        look = await self._see.look(self._repository, "staging")
        state = await self._see.environment("staging")
        self._say.line(
            f"main is at {names.short(head)}, the revert; staging runs "
            f"{names.short(look.revision)}: {look.message}"
        )
        hold = state.hold
        self._say.line(f"staging is on hold: {hold.reason}" if hold else "staging is not on hold")
        agreed = head == revert == look.revision and look.verdict == "healthy"
        return agreed and hold is not None

    def _push(self, branch: str, message: str, ref: str, *edits: tuple[str, str, str]) -> str:
        revision = self._author.change(branch, message, *edits)
        self._author.push(ref)
        self._say.line(f'pushed {names.short(revision)} "{message}" to {ref}')
        return revision

    def _tell_advice(self, result: PipelineResult) -> None:
        for line in advice_lines(result):
            self._say.line(line)

    def _tell_finding(self, finding: Finding) -> None:
        place = f"{finding.file}:{finding.line}"
        self._say.line(f"{finding.severity}  {place}  {finding.object}: {finding.message}")
        if finding.fix:
            self._say.line(f"to do: {finding.fix}", 10)

    def _remember(self, commit: str, result: PipelineResult) -> None:
        revision = names.short(result.revision)
        for stage in result.stages:
            what = f"{stage.agent} {stage.environment}".strip()
            outcome = stage.deployment.outcome if stage.deployment else stage.outcome
            self._rows.append((f"{revision} ({commit})", what, outcome, f"{stage.seconds:.1f}"))
