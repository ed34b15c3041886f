"""The repository's entity: its inbox, and the runs that it started."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RawValue, WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.git import GitActivities
    from pilothouse.gitops import inbox
    from pilothouse.gitops.reports import repository_report
    from pilothouse.models import names
    from pilothouse.models.repository import OwnCommit, RepositoryEvent
    from pilothouse.models.runs import (
        PipelineRequest,
        RepositoryRequest,
        RepositoryState,
        RunFinished,
        SupersedeClaim,
    )
    from pilothouse.models.steps import HeadRequest

from workflows import options
from workflows.visibility import publish, reason

RETRY_AFTER = timedelta(seconds=20)
"""How long to wait before reading a head again from a repository that did not answer."""


@workflow.defn(name=names.REPOSITORY_WORKFLOW)
class RepositoryWorkflow:
    """Entity: takes events, reads the head they hint at, starts one run for each new revision.

    Id: `repository/<host>/<path>`; started by the first webhook (signal-with-start) or by hand;
    never ends, continues as new. An event is a hint: what runs is what Git says.
    """

    @workflow.init
    def __init__(self, request: RepositoryRequest) -> None:
        self._request = request
        self._state = request.state
        self._show()

    @workflow.run
    async def run(self, request: RepositoryRequest) -> None:
        """Handle one event after another; look at the default branch when none comes."""
        publish(repository=request.repository.slug, phase="watching")
        poll = timedelta(seconds=request.poll_seconds) if request.poll_seconds > 0 else None
        while not workflow.info().is_continue_as_new_suggested():
            try:
                await workflow.wait_condition(
                    lambda: (
                        bool(self._state.pending) or workflow.info().is_continue_as_new_suggested()
                    ),
                    timeout=poll,
                    timeout_summary="before looking at the head without being told",
                )
            except TimeoutError:
                self._put(inbox.enqueue(self._state, self._look()))
            if self._state.pending:
                await self._handle(self._state.pending[0])
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(request.model_copy(update={"state": self._state}))

    def _look(self) -> RepositoryEvent:
        return RepositoryEvent(kind="push", ref=self._request.repository.default_ref)

    async def _handle(self, event: RepositoryEvent) -> None:
        """One event, to its end; it stays the first in the queue until then."""
        if not event.closed:
            try:
                head = await options.GIT_LOOK(
                    GitActivities.read_head,
                    HeadRequest(repository=self._request.repository, ref=event.ref),
                    summary=f"read the head of {event.ref}",
                )
            except ActivityError as error:
                self._put(inbox.note(self._state, f"cannot read {event.ref}: {reason(error)}"))
                await workflow.sleep(RETRY_AFTER, summary="before asking the repository again")
                return
            if head.revision:
                await self._evaluate(event, head.revision)
            elif not inbox.is_look(event):
                self._put(inbox.note(self._state, f"{event.ref} does not exist: nothing to run"))
        else:
            await self._supersede(event.ref, "closed")
        self._put(inbox.done(self._state, event))

    async def _evaluate(self, event: RepositoryEvent, revision: str) -> None:
        if why := inbox.reason_to_skip(self._state, event, revision):
            if why != inbox.KNOWN_HEAD:
                self._put(inbox.note(self._state, f"{names.short(revision)}: {why}"))
                await self._supersede(event.ref, revision)
            self._put(inbox.saw(self._state, event.ref, revision))
            return
        await self._supersede(event.ref, revision)
        kind = f"pull-{event.number}" if event.kind == "pull_request" else "push"
        run = names.pipeline_id(self._request.repository.slug, kind, revision)
        request = PipelineRequest(
            repository=self._request.repository,
            revision=revision,
            event=kind,
            ref=event.ref,
            base_ref=event.base_ref,
        )
        try:
            await workflow.start_child_workflow(
                names.PIPELINE_WORKFLOW,
                request,
                id=run,
                parent_close_policy=ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"{kind} {names.short(revision)}",
            )
        except WorkflowAlreadyStartedError:
            self._put(inbox.note(self._state, f"{names.short(revision)} had its run already"))
        else:
            self._put(inbox.started(self._state, run, event.ref, revision))
        self._put(inbox.saw(self._state, event.ref, revision))

    async def _supersede(self, ref: str, by: str) -> None:
        for run in inbox.running_on(self._state, ref, by):
            try:
                handle = workflow.get_external_workflow_handle(run.run)
                await handle.signal(names.SIGNAL_SUPERSEDE, SupersedeClaim(by=by))
            except FailureError:
                workflow.logger.info("%s has ended already", run.run)

    @workflow.signal(
        name=names.SIGNAL_REPOSITORY_EVENT,
        description='A ref moved: {"kind": "push", "ref": "refs/heads/main"}. A hint only.',
    )
    def repository_event(self, event: RepositoryEvent) -> None:
        """Take an event, once for each delivery id."""
        if event.problem:
            self._put(inbox.note(self._state, f"an event was not understood: {event.problem}"))
            return
        if event.kind != "pull_request" and event.ref != self._request.repository.default_ref:
            self._put(inbox.note(self._state, f"{event.ref} is not the default branch: ignored"))
            return
        self._put(inbox.enqueue(self._state, event))

    @workflow.signal(
        name=names.SIGNAL_OWN_COMMIT, description="A workflow of ours is about to push a commit."
    )
    def own_commit(self, commit: OwnCommit) -> None:
        """Its arrival will start nothing."""
        self._put(inbox.own(self._state, commit))

    @workflow.signal(name=names.SIGNAL_RUN_FINISHED, description="A run tells how it ended.")
    def run_finished(self, finished: RunFinished) -> None:
        """Remember the outcome."""
        self._put(inbox.finished(self._state, finished))

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _args: Sequence[RawValue]) -> None:
        """Say that a signal's name is not known: the server never tells its sender."""
        self._put(
            inbox.note(
                self._state,
                f"unknown signal {name[:60]!r}: this repository understands repository_event",
            )
        )

    @workflow.query(name=names.QUERY_STATE, description="Heads, runs, what waits.")
    def state(self) -> RepositoryState:
        """Everything that is remembered."""
        return self._state

    def _put(self, state: RepositoryState) -> None:
        self._state = state
        self._show()

    def _show(self) -> None:
        workflow.set_current_details(repository_report(self._request.repository.slug, self._state))
