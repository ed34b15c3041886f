"""The workspace: read the pipeline file, render, validate, run tests. Holds no credential."""

import asyncio
from pathlib import Path

from temporalio import activity

from pilothouse.clients.sandbox import run_commands
from pilothouse.clients.store import ContentStore
from pilothouse.clients.tree import StoredTree
from pilothouse.gitops.manifests.render import Kustomize, bundle, render
from pilothouse.gitops.pipeline_file import PIPELINE_FILE, missing_pipeline, parse_pipeline
from pilothouse.gitops.validation.checks import check
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.findings import report
from pilothouse.models.names import short
from pilothouse.models.objects import RenderedBundle
from pilothouse.models.repository import Snapshot
from pilothouse.models.runs import TestReport
from pilothouse.models.steps import PipelineLoad, RenderRequest, RenderResult, TestRequest


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
        data = StoredTree(self._store, snapshot.tree).get(PIPELINE_FILE)
        if data is None:
            where = f"revision {short(snapshot.revision)}"
            return PipelineLoad(findings=(missing_pipeline(where=where),))
        pipeline, findings = parse_pipeline(data)
        return PipelineLoad(pipeline=pipeline, findings=tuple(findings))

    @activity.defn
    def render_and_validate(self, request: RenderRequest) -> RenderResult:
        """Render one environment, check every object, and store the bundle.

        Every finding comes at once; a bundle comes only if none of them blocks. Idempotent, a pure
        function of the snapshot and the pipeline.
        """
        files = StoredTree(self._store, request.snapshot.tree)
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
        files = await asyncio.to_thread(StoredTree, self._store, request.snapshot.tree)
        return await run_commands(
            files,
            request.commands,
            timeout_seconds=request.timeout_seconds,
            scratch=self._scratch,
            beat=activity.heartbeat,
            executables=files.executables,
        )
