"""A repository, a cluster and servers of tools that are hostile, and a world that has them.

Rendering, validation, tests, material and everything of the agents is real, over one content
store. Git and the cluster are doubles, which say what real ones would.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from temporalio import activity

from activities.material import MaterialActivities
from activities.workspace import WorkspaceActivities
from pilothouse.clients.kustomize import build_kustomization
from pilothouse.clients.schemas import built_in_schemas
from pilothouse.gitops.diagnosis.text import quote
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models import names
from pilothouse.models.health import Diagnosis, Evidence, HealthReport
from pilothouse.models.objects import canonical_json
from pilothouse.models.pipeline import Agent, Pipeline
from pilothouse.models.repository import Commit, RepositoryRef, Snapshot
from pilothouse.models.steps import (
    HealthRequest,
    ObserveRequest,
    ObserveResult,
    PipelineLoad,
    RenderRequest,
    RenderResult,
    SnapshotRequest,
)
from tests.workflow.world import DEPLOYMENT, World

EXAMPLE = Path(__file__).parents[2] / "examples" / "model-api"
PIPELINE = """\
pipeline:
  agents:
    validator: {trigger: [webhook.pull_request, webhook.push], model: "scripted:validator",
                prompt_file: agents/validator.md, mcp_tools: [k8s/look, change, page, search]}
    reviewer: {trigger: status.validated, model: "scripted:reviewer", prompt: Look.,
               mcp_tools: [k8s/look, change, page], emits: [accepted, refused]}
    tester: {trigger: status.accepted, model: "scripted:tester", commands: ["cat output.txt"],
             mcp_tools: [k8s/look, change]}
    deployer: {trigger: status.tests_passed, model: "scripted:deployer",
               mcp_tools: [k8s/look, change]}
    monitor: {trigger: cron.5min, model: "scripted:monitor", mcp_tools: [k8s/look, change]}
  mcp_servers:
    k8s: {url: "http://localhost:1/mcp", tools: {look: read, change: write, page: external}}
    docs: {url: "http://localhost:2/mcp", tools: {search: read}}
  environments:
    staging: {namespace: app-staging}
"""
PRODUCTION = """\
    production: {namespace: app-production, after: staging, approval: {required: true}}
"""
AGENTS = ("validator", "reviewer", "tester", "deployer", "monitor")


def example(extra: Mapping[str, str], *, production: bool = True) -> dict[str, str]:
    """The shipped example with this pipeline file, and with more files."""
    files = {
        str(path.relative_to(EXAMPLE)): path.read_text(encoding="utf-8")
        for path in EXAMPLE.rglob("*")
        if path.is_file() and path.name != "production.yaml" and "__pycache__" not in path.parts
    }
    pipeline = PIPELINE + (PRODUCTION if production else "")
    return {**files, "pipeline.yaml": pipeline, "output.txt": "ok\n", **extra}


@dataclass
class Hostile(World):
    """What is outside; `files`, `subject` and `cluster_says` are the attacker's."""

    files: dict[str, str] = field(default_factory=dict)
    subject: str = "change"
    cluster_says: tuple[Evidence, ...] = ()
    """Evidence as the cluster has it, before the cluster's worker quotes it."""

    def __post_init__(self) -> None:
        """One store for all workers, as on one machine."""
        self._workspace = WorkspaceActivities(
            store=self.voices.store,
            schemas=SchemaCheck(built_in_schemas()),
            kustomize=build_kustomization,
            scratch=self.voices.folder / "scratch",
        )

    @activity.defn
    async def take_snapshot(self, request: SnapshotRequest) -> Snapshot:
        store = self.voices.store
        tree = {
            path: {"mode": "100644", "size": len(text.encode()), "digest": store.put(text.encode())}
            for path, text in self.files.items()
        }
        commit = Commit(
            revision=request.revision,
            author_name="Dev",
            author_email="dev@example.org",
            committer_email="dev@example.org",
            committed_at="2026-01-01T00:00:00+00:00",
            subject=quote(self.subject),
        )
        return Snapshot(commit=commit, tree=store.put(canonical_json(tree)), files=9, bytes=9)

    @activity.defn
    async def await_health(self, request: HealthRequest) -> HealthReport:
        del request
        return self._health("Healthy")

    @activity.defn
    async def observe_environment(self, request: ObserveRequest) -> ObserveResult:
        self.observed.append(request)
        return ObserveResult(deployed=True, health=self._health("Degraded"))

    def _health(self, status: str) -> HealthReport:
        quoted = tuple(
            each.model_copy(update={"text": quote(each.text), "source": quote(each.source)})
            for each in self.cluster_says
        )
        seen = Diagnosis(
            object=DEPLOYMENT, cause="crash_loop", summary="it says", final=False, evidence=quoted
        )
        return HealthReport.model_validate({
            "status": status,
            "objects": 3,
            "diagnoses": (seen,) if quoted else (),
        })

    def served(self) -> dict[str, list[Callable[..., object]]]:
        """The activities of each queue, with the workspace's own in their place."""

        @activity.defn
        async def load_pipeline(snapshot: Snapshot) -> PipelineLoad:
            return await asyncio.to_thread(self._workspace.load_pipeline, snapshot)

        @activity.defn
        async def render_and_validate(request: RenderRequest) -> RenderResult:
            return await asyncio.to_thread(self._workspace.render_and_validate, request)

        material = MaterialActivities(store=self.voices.store)
        return {
            **super().served(),
            names.WORKSPACE_QUEUE: [
                load_pipeline,
                render_and_validate,
                self._workspace.run_tests,
                material.gather_material,
                self.ensure_monitor_schedule,
                self.read_release,
            ],
        }


def hostile(url: str, **says: object) -> Hostile:
    """A hostile world; its pipeline is read from its own files."""
    nothing = Pipeline(agents={"validator": Agent(trigger="manual")})
    return Hostile(repository=RepositoryRef(url=url), pipeline=nothing, **says)  # type: ignore[arg-type]
