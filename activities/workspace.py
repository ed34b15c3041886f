"""The workspace: read the pipeline file, render, validate, run tests. Holds no credential."""

import asyncio
from pathlib import Path

from temporalio import activity

from activities.git import read_executables, read_tree
from pilothouse.clients.sandbox import run_commands
from pilothouse.clients.store import ContentStore
from pilothouse.gitops.manifests.render import Kustomize, bundle, render
from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.gitops.validation.checks import check
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.findings import Finding, report
from pilothouse.models.objects import RenderedBundle
from pilothouse.models.repository import Snapshot
from pilothouse.models.runs import TestReport
from pilothouse.models.steps import PipelineLoad, RenderRequest, RenderResult, TestRequest

PIPELINE_FILE = "pipeline.yaml"


class WorkspaceActivities:
    """What workflows may do to the files of a snapshot."""

    def __init__(
        self,
        *,
        store: ContentStore,
        schemas: SchemaCheck,
        kustomize: Kustomize,
        scratch: Path,
    ) -> None:
        self._store = store
        self._schemas = schemas
        self._kustomize = kustomize
        self._scratch = scratch

    @activity.defn
    def load_pipeline(self, snapshot: Snapshot) -> PipelineLoad:
        """Read and check the snapshot's pipeline file; what is wrong with it comes as findings."""
        data = read_tree(self._store, snapshot.tree).get(PIPELINE_FILE)
        if data is None:
            return PipelineLoad(findings=(_no_pipeline_file(snapshot),))
        pipeline, findings = parse_pipeline(data, PIPELINE_FILE)
        return PipelineLoad(pipeline=pipeline, findings=tuple(findings))

    @activity.defn
    def render_and_validate(self, request: RenderRequest) -> RenderResult:
        """Render one environment, check every object, and store the bundle.

        Every finding comes at once; a bundle comes only if none of them blocks. Idempotent, a pure
        function of the snapshot and the pipeline.
        """
        files = read_tree(self._store, request.snapshot.tree)
        rendered = render(files, request.pipeline, request.environment, self._kustomize)
        findings = [
            *rendered.findings,
            *check(rendered.manifests, self._schemas, loading=rendered.findings),
        ]
        summary = report(findings, len(rendered.manifests))
        if summary.verdict == "block":
            return RenderResult(report=summary)
        result = bundle(rendered, request.pipeline, request.environment)
        stored = RenderedBundle(
            content=self._store.put(result.model_dump_json().encode()),
            digest=result.digest(),
            objects=len(result.manifests),
        )
        return RenderResult(bundle=stored, report=summary)

    @activity.defn
    async def run_tests(self, request: TestRequest) -> TestReport:
        """Run the declared commands, in order, in a clean export of the snapshot.

        Not idempotent in the strict sense: the commands are the repository's own. A retry starts
        from a clean export again.
        """
        tree = request.snapshot.tree
        files = await asyncio.to_thread(read_tree, self._store, tree)
        return await run_commands(
            files,
            request.commands,
            timeout_seconds=request.timeout_seconds,
            scratch=self._scratch,
            beat=activity.heartbeat,
            executables=read_executables(self._store, tree),
        )


def _no_pipeline_file(snapshot: Snapshot) -> Finding:
    return Finding(
        rule="pipeline-file",
        severity="error",
        file=PIPELINE_FILE,
        message=f"revision {snapshot.revision[:12]} has no {PIPELINE_FILE} at its root",
        fix=f"add {PIPELINE_FILE}; docs/reference/pipeline-file.md shows one",
    )
