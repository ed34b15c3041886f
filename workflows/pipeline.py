"""One run of the pipeline, for one event on one revision."""

from collections.abc import Awaitable, Callable, Sequence

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.git import GitActivities
    from activities.workspace import WorkspaceActivities
    from pilothouse.gitops import triggers
    from pilothouse.gitops.reports import pipeline_report
    from pilothouse.gitops.status_files import status_commit
    from pilothouse.models import names
    from pilothouse.models.findings import report
    from pilothouse.models.pipeline import Role
    from pilothouse.models.repository import OwnCommit, Snapshot
    from pilothouse.models.runs import (
        PipelineRequest,
        PipelineResult,
        RunFinished,
        RunOutcome,
        StageReport,
        SupersedeClaim,
    )
    from pilothouse.models.steps import HeadRequest, PipelineLoad, SnapshotRequest
    from pilothouse.models.workspace import EmittedEvent

from workflows import options, promotion, stages
from workflows.commits import publish_commit
from workflows.deploying.approval import describe_unknown
from workflows.emissions import Emissions
from workflows.external import await_external
from workflows.run import Run
from workflows.visibility import publish, reason

STAGES: dict[Role, Callable[[Run, str], Awaitable[list[StageReport]]]] = {
    "validator": stages.validate,
    "tester": stages.test,
    "deployer": promotion.deploy,
    "monitor": stages.monitor,
    "general": stages.consult,
    "external": await_external,
}


@workflow.defn(name=names.PIPELINE_WORKFLOW)
class PipelineWorkflow:
    """Walks the trigger graph of the pipeline file, stage by stage, and records the outcome in Git.

    Id: `pipeline/<host>/<path>/<event>/<revision>`; started once for each event and revision. It
    ends with a `PipelineResult` whatever happens.
    """

    @workflow.init
    def __init__(self, request: PipelineRequest) -> None:
        self._request = request
        self._run: Run | None = None
        self._superseded: SupersedeClaim | None = None
        self._turn = "reading the repository"
        self._notices: tuple[str, ...] = ()
        self._emissions = Emissions(request.revision)
        self._result = PipelineResult(
            revision=request.revision, event=request.event, outcome="error"
        )
        self._show()

    @workflow.run
    async def run(self, request: PipelineRequest) -> PipelineResult:
        """Read, walk, sum up, record, tell."""
        publish(repository=request.repository.slug, revision=request.revision, phase="running")
        try:
            self._run = await self._read()
            if self._run is not None:
                await self._walk(self._run)
                self._update(outcome=self._sum_up())
            if self._result.outcome != "superseded":
                await self._record(self._run)
        except (ActivityError, ChildWorkflowError) as error:
            if is_cancelled_exception(error):
                raise
            self._update(outcome="error", message=reason(error))
        self._turn = ""
        self._update(report=self._details())
        publish(phase="done", outcome=self._result.outcome)
        await self._tell()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._result

    async def _read(self) -> Run | None:
        """The revision's files, and the pipeline that governs them; None if there is none."""
        snapshot = await self._snapshot(self._request.revision)
        governing = snapshot
        if self._request.is_pull_request:
            # A pull request must not change the rules that it is judged by.
            base = self._request.base_ref or self._request.repository.default_ref
            head = await options.GIT_LOOK(
                GitActivities.read_head,
                HeadRequest(repository=self._request.repository, ref=base),
                summary=f"read the head of {base}",
            )
            if head.revision:
                governing = await self._snapshot(head.revision)
        load: PipelineLoad = await options.WORKSPACE(
            WorkspaceActivities.load_pipeline,
            governing,
            summary=f"read the pipeline file at {names.short(governing.revision)}",
        )
        if load.pipeline is None:
            validation = report(list(load.findings), 0)
            stage = StageReport(
                agent="pipeline file",
                outcome="blocked",
                event="status.rejected",
                summary="the pipeline file is not usable",
                validation=validation,
            )
            self._update(outcome="blocked", stages=(stage,), message=stage.summary)
            return None
        self._emissions.open(load.pipeline)
        return Run(self._request, snapshot, load.pipeline, governing, self._show, self._emissions)

    async def _snapshot(self, revision: str) -> Snapshot:
        return await options.GIT(
            GitActivities.take_snapshot,
            SnapshotRequest(repository=self._request.repository, revision=revision),
            summary=f"read {names.short(revision)} from Git",
        )

    async def _walk(self, run: Run) -> None:
        """Give every agent its turn whose trigger came, until none is left."""
        emitted = set(triggers.opening_events(self._request.event))
        done: set[str] = set()
        while turn := triggers.ready(run.pipeline, emitted, done):
            if self._superseded is not None:
                return
            agent = turn[0]
            self._turn = agent
            self._show()
            started = workflow.now()
            reports = await STAGES[run.pipeline.role_of(agent)](run, agent)
            took = (workflow.now() - started).total_seconds()
            for each in reports:
                self._append(each if each.seconds else each.model_copy(update={"seconds": took}))
            run.reports += reports
            done.add(agent)
            emitted |= {each.event for each in reports if each.event}

    def _sum_up(self) -> RunOutcome:
        deployments = [s.deployment for s in self._result.stages if s.deployment is not None]
        if any(each.outcome == "rolled_back" for each in deployments):
            # Said and recorded though a newer revision goes on: the branch may hold a revert.
            return "rolled_back"
        if self._superseded is not None:
            return "superseded"
        outcomes = {stage.outcome for stage in self._result.stages}
        for bad in ("failed", "superseded", "blocked"):
            if bad in outcomes:
                return bad
        if not self._result.stages:
            self._update(message="no agent's trigger came: the pipeline file has none for it")
        return "succeeded"

    # -- record -----------------------------------------------------------------------------------

    async def _record(self, run: Run | None) -> None:
        """One commit on the status branch; without a pipeline file the default one is used."""
        self._turn = "recording"
        self._show()
        branch = run.pipeline.status.branch if run is not None else "pilothouse/status"
        commit = status_commit(
            self._request,
            self._result,
            run=workflow.info().workflow_id,
            branch=branch,
            when=workflow.info().start_time,
        )
        own = self._announce if branch == self._request.repository.default_branch else None
        try:
            self._update(status_commit=await publish_commit(commit, before=own))
        except (ActivityError, ApplicationError) as error:
            if is_cancelled_exception(error):
                raise
            # What was deployed is deployed: a projection that is missing does not undo it.
            self._update(message=f"the status was not recorded on {branch}: {reason(error)}")

    async def _announce(self, revision: str) -> None:
        own = OwnCommit(revision=revision, run=workflow.info().workflow_id)
        await self._tell_repository(names.SIGNAL_OWN_COMMIT, own)

    async def _tell(self) -> None:
        finished = RunFinished(run=workflow.info().workflow_id, outcome=self._result.outcome)
        await self._tell_repository(names.SIGNAL_RUN_FINISHED, finished)

    async def _tell_repository(self, signal: str, message: OwnCommit | RunFinished) -> None:
        entity = names.repository_id(self._request.repository.slug)
        try:
            await workflow.get_external_workflow_handle(entity).signal(signal, message)
        except FailureError:
            workflow.logger.info("started by hand: no repository workflow to tell")

    # -- messages ---------------------------------------------------------------------------------

    @workflow.signal(
        name=names.SIGNAL_SUPERSEDE,
        description='Stop, unless it is writing already: {"by": "the newer revision"}.',
    )
    async def supersede(self, claim: SupersedeClaim) -> None:
        """A newer head replaces this run."""
        self._superseded = claim
        if self._run is not None:
            await self._run.supersede(claim)
        self._show()

    @workflow.signal(
        name=names.SIGNAL_EMIT,
        description="An agent outside ends its stage: {event, by, revision, status_commit}.",
    )
    def emit(self, event: EmittedEvent) -> None:
        """A claim: it ends the stage whose event it is, or is refused where people look."""
        self._emissions.judge(event)
        self._show()

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _args: Sequence[RawValue]) -> None:
        """Say that a signal's name is not known: the server never tells its sender."""
        notice = describe_unknown(name, (names.SIGNAL_SUPERSEDE, names.SIGNAL_EMIT))
        deployments = "decisions go to the deployment's workflow, see Relationships"
        self._notices = (*self._notices, f"{notice}; {deployments}")[-20:]
        self._show()

    @workflow.query(name=names.QUERY_STATE, description="Stages so far, and whose turn it is.")
    def state(self) -> dict[str, object]:
        """What it is doing and what it knows."""
        return {
            "turn": self._turn,
            "awaited": self._emissions.awaited,
            "notices": [*self._notices, *self._emissions.notices],
            "result": self._result.model_dump(mode="json", exclude={"report"}),
        }

    # -- bookkeeping ------------------------------------------------------------------------------

    def _append(self, stage: StageReport) -> None:
        self._update(stages=(*self._result.stages, stage))

    def _update(self, **fields: object) -> None:
        self._result = self._result.model_copy(update=fields)
        self._show()

    def _details(self) -> str:
        waits_in = self._run.waits_in if self._run is not None else ""
        notices = (*self._notices, *self._emissions.notices)
        return pipeline_report(self._result, self._turn, waits_in, notices, self._emissions.awaited)

    def _show(self) -> None:
        workflow.set_current_details(self._details())
