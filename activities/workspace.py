"""The workspace: read the pipeline file, render, validate, run tests. Holds no credential."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from temporalio import activity

from activities.renders import Renders
from pilothouse.clients.sandbox import run_commands
from pilothouse.clients.store import ContentStore
from pilothouse.clients.tree import StoredTree
from pilothouse.gitops.manifests.images import Resolver
from pilothouse.gitops.manifests.render import Helm, Kustomize, Rendered, bundle, render, resolved
from pilothouse.gitops.pipeline_file import PIPELINE_FILE, missing_pipeline, parse_pipeline
from pilothouse.gitops.redaction.findings import redacted
from pilothouse.gitops.validation.checks import check
from pilothouse.gitops.validation.policies.loading import OwnRules, load_policies
from pilothouse.gitops.validation.practice import ValidationPolicy
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.errors import PermanentError
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
        helm: Helm | None = None,
        images: Resolver | None = None,
    ) -> None:
        self._store = store
        self._schemas = schemas
        self._kustomize = kustomize
        self._scratch = scratch
        self._helm = helm
        self._images = images
        self._renders = Renders(store)

    @activity.defn
    def load_pipeline(self, snapshot: Snapshot) -> PipelineLoad:
        """Read and check the snapshot's pipeline file; what is wrong with it comes as findings."""
        data = StoredTree(self._store, snapshot.tree).get(PIPELINE_FILE)
        if data is None:
            where = f"revision {short(snapshot.revision)}"
            return PipelineLoad(findings=(missing_pipeline(where=where),))
        pipeline, findings = parse_pipeline(data)
        return PipelineLoad(pipeline=pipeline, findings=tuple(map(redacted, findings)))

    @activity.defn
    def render_and_validate(self, request: RenderRequest) -> RenderResult:
        """Render one environment, check every object, and store the bundle.

        Every finding comes at once; a bundle comes only if none of them blocks. A pure function of
        the snapshot and the pipeline, save for image tags that the environment has resolved: a
        tag may move, so the first success, which the history keeps, is the one that counts.

        Raises:
            TemporaryError: `RegistryUnavailable`, while image tags are resolved.
        """
        if request.resolves_images:
            return self._render_and_validate(request)
        key = Renders.key_of(request, datetime.now(UTC).date().isoformat())
        known = self._renders.get(key)
        if known is not None:
            return known
        result = self._render_and_validate(request)
        self._renders.put(key, result)
        return result

    def _render_and_validate(self, request: RenderRequest) -> RenderResult:
        files = StoredTree(self._store, request.snapshot.tree)
        rendered = self._rendered(files, request)
        own = self._own_rules(request)
        environment = request.pipeline.environments[request.environment]
        policy = ValidationPolicy(
            pod_security=environment.pod_security,
            namespace=environment.namespace,
            own_rules=own.checks,
            today=datetime.now(UTC).date(),
        )
        findings = [
            *rendered.findings,
            *own.findings,
            *check(rendered.manifests, self._schemas, loading=rendered.findings, policy=policy),
        ]
        summary = report(findings, len(rendered.manifests))
        shown = tuple(map(redacted, summary.findings))
        summary = summary.model_copy(update={"findings": shown})
        if summary.verdict == "block":
            return RenderResult(report=summary)
        result = bundle(rendered, request.pipeline, request.environment)
        stored = RenderedBundle(
            content=self._store.put(result.model_dump_json().encode()),
            digest=result.digest(),
            objects=len(result.manifests),
        )
        return RenderResult(bundle=stored, report=summary)

    def _own_rules(self, request: RenderRequest) -> OwnRules:
        """The policies of the revision that governs the run."""
        files = StoredTree(self._store, (request.policies_from or request.snapshot).tree)
        return load_policies(files, request.pipeline.policies, self._schemas)

    def _rendered(self, files: StoredTree, request: RenderRequest) -> Rendered:
        rendered = render(
            files,
            request.pipeline,
            request.environment,
            self._kustomize,
            self._helm,
            files.left_out,
        )
        if not request.resolves_images:
            return rendered
        if self._images is None:
            raise PermanentError("InvalidRequest", "this worker may not ask image registries")
        return resolved(rendered, self._images)

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
