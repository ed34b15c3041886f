"""A real Temporal dev server, our workflows, and activities that are scripted.

The doubles stand at the border to the world: each activity has its own wire name and contracts, so
the workflows cannot tell. What a test wants to happen is set on the `World`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path
from sys import executable

from temporalio import activity
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.errors import ErrorTranslation
from activities.ledgers import LedgerActivities
from activities.material import MaterialActivities
from pilothouse.clients.temporal.converter import DATA_CONVERTER
from pilothouse.models import names
from pilothouse.models.environment import Release
from pilothouse.models.errors import PermanentError
from pilothouse.models.findings import Finding, report
from pilothouse.models.health import Diagnosis, DriftReport, Evidence, HealthReport
from pilothouse.models.material import Gathered, MaterialRequest
from pilothouse.models.objects import (
    ApplyReport,
    ObjectChange,
    ObjectRef,
    Plan,
    RenderedBundle,
    digest_of,
)
from pilothouse.models.pipeline import Agent, Approval, Environment, Pipeline
from pilothouse.models.repository import Commit, RepositoryRef, Snapshot
from pilothouse.models.runs import CommandResult, TestReport
from pilothouse.models.steps import (
    ApplyRequest,
    CommitRequest,
    Head,
    HeadRequest,
    HealthRequest,
    LedgerEntry,
    LedgerRequest,
    MonitorScheduleRequest,
    ObserveRequest,
    ObserveResult,
    Order,
    OrderRequest,
    PipelineLoad,
    PlanRequest,
    ProposedCommit,
    PublishRequest,
    RenderRequest,
    RenderResult,
    SnapshotRequest,
    TestRequest,
)
from tests.workflow.voices import Voices
from workflows import WORKFLOWS
from workflows.border import SignalBorder

DEPLOYMENT = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="app", name="model-api")


def revision(word: str) -> str:
    """A commit id for a word."""
    return sha1(word.encode()).hexdigest()


async def until(look: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait, bounded, until something is true."""
    async with asyncio.timeout(seconds):
        while not await look():
            await asyncio.sleep(0.05)


@dataclass
class World:
    """What is true outside, and what was done to it."""

    repository: RepositoryRef
    pipeline: Pipeline
    heads: dict[str, str] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    """revision -> what validation finds."""
    broken: set[str] = field(default_factory=set)
    """Revisions that do not become healthy."""
    contents: dict[str, str] = field(default_factory=dict)
    """revision -> what it deploys, where that is not the revision itself (a revert)."""
    tests_pass: bool = True
    unreachable: bool = False
    nothing_to_show: bool = False
    """Whether the texts for agents are gone."""
    pipeline_findings: tuple[Finding, ...] = ()
    authors: dict[str, str] = field(default_factory=dict)
    unchanged: bool = False
    fencing: int = 0
    """The number that the cluster's inventory holds."""
    history: list[str] = field(default_factory=list)
    """Revisions, each older than what follows; what is not in it is related to nothing."""
    slow: set[str] = field(default_factory=set)
    """Revisions whose health is waited for until they leave this set."""
    deletes: int = 0
    """How many objects each plan deletes."""
    not_promoted: set[str] = field(default_factory=set)
    """Revisions that the environment before never took."""
    ledgers: LedgerActivities | None = None
    """If set, the real ledgers are asked."""
    drifted: bool = False
    """Whether somebody changes the cluster behind our back."""
    branch_moves: int = 0
    """How many pushes find that the branch moved."""
    writing: asyncio.Event | None = None
    """If set, an apply waits for it."""
    voices: Voices = field(default_factory=Voices)
    """What models say and tools answer."""
    rendered: list[RenderRequest] = field(default_factory=list)
    planned: list[PlanRequest] = field(default_factory=list)
    observed: list[ObserveRequest] = field(default_factory=list)
    applied: list[ApplyRequest] = field(default_factory=list)
    published: list[PublishRequest] = field(default_factory=list)
    schedules: list[MonitorScheduleRequest] = field(default_factory=list)
    gathered: list[MaterialRequest] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def content(self, rev: str) -> str:
        """The digest of what a revision deploys."""
        return digest_of(self.contents.get(rev, rev).encode())

    @activity.defn
    async def read_head(self, request: HeadRequest) -> Head:
        self.calls.append("read_head")
        if self.unreachable:
            raise ApplicationError("no route to the forge", type="RepositoryUnavailable")
        return Head(revision=self.heads.get(request.ref, ""))

    @activity.defn
    async def take_snapshot(self, request: SnapshotRequest) -> Snapshot:
        self.calls.append("take_snapshot")
        if request.revision == revision("unknown"):
            raise ApplicationError(
                "the repository has no such revision", type="RevisionNotFound", non_retryable=True
            )
        author = self.authors.get(request.revision, "dev@example.org")
        commit = Commit(
            revision=request.revision,
            author_name="Dev",
            author_email=author,
            committer_email=author,
            committed_at="2026-01-01T00:00:00+00:00",
            subject="change",
        )
        return Snapshot(commit=commit, tree=self.content(request.revision), files=3, bytes=100)

    @activity.defn
    async def compare_revisions(self, request: OrderRequest) -> Order:
        self.calls.append("compare_revisions")
        places = {rev: place for place, rev in enumerate(self.history)}
        known = request.revision in places and request.than in places
        return Order(older=known and places[request.revision] < places[request.than])

    @activity.defn
    async def read_release(self, request: LedgerRequest) -> LedgerEntry:
        self.calls.append("read_release")
        if self.ledgers is not None:
            return await self.ledgers.read_release(request)
        if request.revision in self.not_promoted:
            return LedgerEntry()
        return LedgerEntry(
            release=Release(
                revision=request.revision,
                plan=self._plan(self.content(request.revision)),
                outcome="good",
                at="2026-01-01T00:00:00+00:00",
                deployment="deployment/x",
            )
        )

    @activity.defn
    async def load_pipeline(self, snapshot: Snapshot) -> PipelineLoad:
        if self.pipeline_findings:
            return PipelineLoad(findings=self.pipeline_findings)
        return PipelineLoad(pipeline=self.pipeline)

    @activity.defn
    async def render_and_validate(self, request: RenderRequest) -> RenderResult:
        self.calls.append("render_and_validate")
        self.rendered.append(request)
        findings = self.findings.get(request.snapshot.revision, [])
        summary = report(findings, 3)
        if summary.verdict == "block":
            return RenderResult(report=summary)
        content = request.snapshot.tree
        bundle = RenderedBundle(content=content, digest=self._plan(content), objects=3)
        return RenderResult(bundle=bundle, report=summary)

    def _plan(self, content: str) -> str:
        return digest_of(b"plan of " + content.encode())

    @activity.defn
    async def run_tests(self, request: TestRequest) -> TestReport:
        self.calls.append("run_tests")
        code = 0 if self.tests_pass else 1
        one = CommandResult(
            command=request.commands[0], exit_code=code, seconds=0.1, output="said the test"
        )
        return TestReport(passed=self.tests_pass, commands=(one,))

    @activity.defn
    async def plan_deployment(self, request: PlanRequest) -> Plan:
        self.calls.append("plan_deployment")
        self.planned.append(request)
        changes = () if self.unchanged else (ObjectChange(action="change", object=DEPLOYMENT),)
        return Plan(
            digest=self._plan(request.content),
            revision=request.revision,
            environment="staging",
            counts={
                "change": len(changes),
                "unchanged": 3 - len(changes),
                "delete": self.deletes,
            },
            changes=changes,
            fencing=self.fencing,
        )

    @activity.defn
    async def apply_plan(self, request: ApplyRequest) -> ApplyReport:
        self.calls.append("apply_plan")
        if self.writing is not None:
            activity.heartbeat("waiting")
            await asyncio.wait_for(self.writing.wait(), 10)
        self.applied.append(request)
        return ApplyReport(ok=True, counts={"configured": 1, "unchanged": 2})

    @activity.defn
    async def await_health(self, request: HealthRequest) -> HealthReport:
        self.calls.append("await_health")
        async with asyncio.timeout(20):
            while request.content in {self.content(rev) for rev in self.slow}:
                activity.heartbeat()
                await asyncio.sleep(0.05)
        if request.content in {self.content(rev) for rev in self.broken}:
            diagnosis = Diagnosis(
                object=DEPLOYMENT,
                cause="crash_loop",
                summary="container api exits with 1, restarted 3 times",
                final=True,
                evidence=(Evidence(kind="log", source="Pod/app/x/api", text="no model file"),),
            )
            return HealthReport(status="Degraded", objects=3, diagnoses=(diagnosis,), seconds=1)
        return HealthReport(status="Healthy", objects=3, seconds=0.5)

    @activity.defn
    async def observe_environment(self, request: ObserveRequest) -> ObserveResult:
        self.calls.append("observe_environment")
        self.observed.append(request)
        health = HealthReport(status="Healthy", objects=3)
        last = self.applied[-1].revision if self.applied else ""
        fields = {str(DEPLOYMENT): ("/spec/paused",)}
        drift = DriftReport(drifted=(DEPLOYMENT,), fields=fields) if self.drifted else DriftReport()
        return ObserveResult(deployed=bool(self.applied), revision=last, health=health, drift=drift)

    @activity.defn
    async def propose_commit(self, request: CommitRequest) -> ProposedCommit:
        self.calls.append("propose_commit")
        base = self.heads.get(f"refs/heads/{request.branch}", "")
        new = revision(f"{base}{request.message}{request.files}")
        if request.kind == "revert":
            self.contents[new] = self.contents.get(request.good, request.good)
        return ProposedCommit(revision=new, base=base)

    @activity.defn
    async def publish_commit(self, request: PublishRequest) -> bool:
        self.calls.append("publish_commit")
        if self.branch_moves:
            self.branch_moves -= 1
            return False
        self.published.append(request)
        self.heads[f"refs/heads/{request.commit.branch}"] = request.proposed.revision
        return True

    @activity.defn
    async def gather_material(self, request: MaterialRequest) -> Gathered:
        self.gathered.append(request)
        if self.nothing_to_show:
            raise PermanentError("StoreMiss", "the texts are gone")
        # Trees and bundles are words here, with nothing in the store; the rest is real.
        stored = request.model_copy(update={"snapshot": None, "bundles": {}})
        return await MaterialActivities(store=self.voices.store).gather_material(stored)

    @activity.defn
    async def ensure_monitor_schedule(self, request: MonitorScheduleRequest) -> str:
        self.schedules.append(request)
        return "schedule"

    def served(self) -> dict[str, list[Callable[..., object]]]:
        """The activities of each queue, as `worker.py` serves them in production."""
        return {
            names.WORKFLOW_QUEUE: [],
            names.GIT_QUEUE: [
                self.read_head,
                self.take_snapshot,
                self.compare_revisions,
                self.propose_commit,
                self.publish_commit,
            ],
            names.CLUSTER_QUEUE: [
                self.plan_deployment,
                self.apply_plan,
                self.await_health,
                self.observe_environment,
            ],
            names.WORKSPACE_QUEUE: [
                self.load_pipeline,
                self.render_and_validate,
                self.run_tests,
                self.ensure_monitor_schedule,
                self.read_release,
                self.gather_material,
            ],
            names.AGENTS_QUEUE: self.voices.served(),
        }


def two_environments(url: str) -> World:
    """Staging, then production behind an approval."""
    agents = {
        "validator": Agent(trigger="webhook.pull_request"),
        "tester": Agent(trigger="status.validated", commands=("true",)),
        "deployer": Agent(trigger="status.tests_passed"),
        "monitor": Agent(trigger="cron.5min"),
    }
    environments = {
        "staging": Environment(namespace="app-staging"),
        "production": Environment(
            namespace="app-production", after="staging", approval=Approval(required=True)
        ),
    }
    return World(
        repository=RepositoryRef(url=url),
        pipeline=Pipeline(agents=agents, environments=environments),
    )


@asynccontextmanager
async def dev_server() -> AsyncIterator[Client]:
    """A Temporal dev server with our search attributes, from the binary beside this Python."""
    env = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(executable).with_name("temporal")),
        data_converter=DATA_CONVERTER,
        search_attributes=[
            SearchAttributeKey.for_keyword(name) for name in names.SEARCH_ATTRIBUTES
        ],
        dev_server_extra_args=[
            "--dynamic-config-value",
            "history.transferProcessorMaxPollRPS=500",
        ],
        dev_server_log_level="error",
    )
    async with env:
        yield env.client


@asynccontextmanager
async def working(client: Client, world: World) -> AsyncIterator[World]:
    """A worker on each queue, as in production, with the world's activities."""
    async with AsyncExitStack() as stack:
        for queue, activities in world.served().items():
            worker = Worker(
                client,
                task_queue=queue,
                workflows=WORKFLOWS if queue == names.WORKFLOW_QUEUE else [],
                activities=activities,
                interceptors=[SignalBorder(), ErrorTranslation()],
            )
            await stack.enter_async_context(worker)
        yield world
