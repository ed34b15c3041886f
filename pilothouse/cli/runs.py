"""deploy, status, approve, reject, rollback: start, ask and signal the workflows."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar
from uuid import uuid4

import typer
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from pilothouse.cli.connection import connect_here
from pilothouse.cli.console import (
    ANSWER_IS_NO,
    UNREACHABLE,
    WRONG_USE,
    Output,
    clear_errors,
    fail,
    print_json,
    say,
)
from pilothouse.gitops.plan.report.visible import visible
from pilothouse.gitops.reports.agents import advice_line
from pilothouse.models import names
from pilothouse.models.agents import AgentResult
from pilothouse.models.environment import DecideClaim, Decision, EnvironmentState
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import (
    DeploymentRequest,
    DeploymentResult,
    RepositoryState,
    RollbackRequest,
    RollbackResult,
)

Answer = TypeVar("Answer")

Url = Annotated[str, typer.Argument(help="Clone URL of the repository.")]
Environment = Annotated[str, typer.Argument(help="Environment, as the pipeline file names it.")]
By = Annotated[str, typer.Option("--by", help="Who decides: your name or e-mail.")]
Branch = Annotated[str, typer.Option(help="The default branch.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]


def run_here(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run work that asks Temporal; what can go wrong there becomes one line and an exit code."""
    with clear_errors():
        try:
            return asyncio.run(work)
        except WorkflowAlreadyStartedError as error:
            fail(f"{error.workflow_id} runs already: `temporal workflow show -w` it", ANSWER_IS_NO)
        except WorkflowUpdateFailedError as error:
            fail(f"refused: {error.cause}", ANSWER_IS_NO)
        except WorkflowFailureError as error:
            fail(f"the workflow failed: {error.cause}", ANSWER_IS_NO)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                fail(f"there is no such workflow: {error.message}", WRONG_USE)
            fail(f"Temporal answered: {error.message}", UNREACHABLE)


def deploy(
    url: Url,
    revision: Annotated[str, typer.Argument(help="Full commit id.")],
    environment: Environment,
    branch: Branch = "main",
    force: Annotated[
        bool, typer.Option("--force", help="Although it is known to be bad, or was not promoted.")
    ] = False,
    by: Annotated[str, typer.Option("--by", help="With --force: who insists.")] = "",
    reason: Annotated[str, typer.Option(help="With --force: why.")] = "",
    wait: Annotated[bool, typer.Option(help="Wait for the end.")] = True,
    output: OutputOption = Output.text,
) -> None:
    """Deploy one revision to one environment.

    Example: pilothouse deploy https://git.example.org/team/model-api.git 4f2a... staging
    """
    if force and not (by.strip() and reason.strip()):
        fail("--force needs --by and --reason: both are remembered", WRONG_USE)

    async def work() -> tuple[str, DeploymentResult | None]:
        request = DeploymentRequest(
            repository=RepositoryRef(url=url, default_branch=branch),
            revision=revision,
            environment=environment,
            force=force,
            by=by,
            why=reason,
        )
        client = await connect_here()
        handle = await client.start_workflow(
            names.DEPLOYMENT_WORKFLOW,
            request,
            id=names.deployment_id(request.repository.slug, environment, revision),
            task_queue=names.WORKFLOW_QUEUE,
            result_type=DeploymentResult,
            static_summary=f"{names.short(revision)} to {environment}, by hand",
        )
        return handle.id, await handle.result() if wait else None

    workflow_id, result = run_here(work())
    if result is None:
        answer = {"workflow": workflow_id}
        print_json(answer) if output is Output.json else say(f"started {workflow_id}")
        return
    if output is Output.json:
        print_json(result.model_dump(mode="json"))
    else:
        say(f"{result.outcome}: {result.message}")
        _say_advice(result.advice)
    if result.outcome != "deployed":
        raise typer.Exit(ANSWER_IS_NO)


def _say_advice(advice: AgentResult | None) -> None:
    if advice is None:
        return
    say(f"  rules say {advice.rules}; {advice_line(advice)}; it counts as {advice.verdict}")
    if advice.summary:
        say(f"  in the model's words: {visible(advice.summary)}")


def status(
    url: Url,
    environment: Annotated[list[str], typer.Option("--environment", "-e")] = [],  # noqa: B006
    output: OutputOption = Output.text,
) -> None:
    """Show a repository's runs, and the lock, releases and hold of environments.

    Example: pilothouse status https://git.example.org/team/model-api.git -e staging -e production
    """

    async def work() -> dict[str, RepositoryState | EnvironmentState | None]:
        slug = RepositoryRef(url=url).slug
        client = await connect_here()
        ids = [names.repository_id(slug), *(names.environment_id(slug, e) for e in environment)]
        types: list[type[RepositoryState] | type[EnvironmentState]] = [
            RepositoryState,
            *(EnvironmentState for _ in environment),
        ]
        return {i: await _state(client, i, t) for i, t in zip(ids, types, strict=True)}

    states = run_here(work())
    if output is Output.json:
        print_json({i: s.model_dump(mode="json") if s else None for i, s in states.items()})
        return
    for workflow_id, state in states.items():
        say(workflow_id)
        if state is None:
            say("  nothing is known: no run has been started for it")
        elif isinstance(state, RepositoryState):
            _say_repository(state)
        else:
            _say_environment(state)


async def _state(
    client: Client, workflow_id: str, kind: type[RepositoryState] | type[EnvironmentState]
) -> RepositoryState | EnvironmentState | None:
    try:
        handle = client.get_workflow_handle(workflow_id)
        answer: RepositoryState | EnvironmentState = await handle.query(
            names.QUERY_STATE, result_type=kind
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return answer


def _say_repository(state: RepositoryState) -> None:
    for run in state.runs[-10:]:
        say(f"  {names.short(run.revision)}  {run.outcome:<12} {run.ref}  {run.run}")
    for notice in state.notices[-5:]:
        say(f"  note: {notice}")


def _say_environment(state: EnvironmentState) -> None:
    good = state.last_good
    say(f"  last good: {names.short(good.revision) if good else 'none yet'}")
    say(f"  lock: {state.holder.holder if state.holder else 'free'}, {len(state.queue)} waiting")
    if state.ownership is not None:
        say(f"  owner: {state.owner} alone approves here, since {state.ownership.since[:19]}")
    if state.hold is not None:
        say(f"  on hold ({state.hold.kind}) since {state.hold.since[:19]}: {state.hold.reason}")
    if state.correcting_stopped:
        say(f"  drift is only reported: {state.correcting_stopped}")
    for notice in state.notices[-5:]:
        say(f"  note: {notice}")


def approve(
    deployment: Annotated[str, typer.Argument(help="Workflow id: deployment/...")],
    plan: Annotated[str, typer.Option(help="The plan digest that you looked at.")],
    by: By,
    reason: Annotated[str, typer.Option()] = "",
    output: OutputOption = Output.text,
) -> None:
    """Approve the plan that a deployment waits with.

    Example: pilothouse approve deployment/... --plan 8f3c2a1b9d04 --by lead@example.org
    """
    _decide(deployment, DecideClaim(approve=True, by=by, plan=plan, reason=reason), output)


def reject(
    deployment: Annotated[str, typer.Argument(help="Workflow id: deployment/...")],
    plan: Annotated[str, typer.Option(help="The plan digest that you looked at.")],
    by: By,
    reason: Annotated[str, typer.Option(help="Why not.")],
    output: OutputOption = Output.text,
) -> None:
    """Reject the plan that a deployment waits with.

    Example: pilothouse reject deployment/... --plan 8f3c2a1b9d04 --by lead --reason "not today"
    """
    _decide(deployment, DecideClaim(approve=False, by=by, plan=plan, reason=reason), output)


def _decide(deployment: str, claim: DecideClaim, output: Output) -> None:
    try:
        names.parse_deployment_id(deployment)
    except ValueError as error:
        fail(str(error), WRONG_USE)

    async def work() -> Decision | None:
        client = await connect_here()
        handle = client.get_workflow_handle(deployment)
        answer = await handle.execute_update(names.UPDATE_DECIDE, claim)
        return Decision.model_validate(answer) if answer else None

    decision = run_here(work())
    if output is Output.json:
        print_json(decision.model_dump(mode="json") if decision else None)
    elif decision is None:
        say("kept: the plan is not ready yet, and the decision is judged when it is")
    else:
        say(f"{'approved' if decision.approved else 'rejected'} by {decision.by}")


def rollback(
    url: Url,
    environment: Environment,
    reason: Annotated[str, typer.Option(help="Why.")],
    by: By,
    to: Annotated[str, typer.Option(help="Full commit id; default: the last good one.")] = "",
    bad: Annotated[str, typer.Option(help="Full commit id; default: the branch's head.")] = "",
    branch: Branch = "main",
    output: OutputOption = Output.text,
) -> None:
    """Put the last good, or a named, revision back through Git, and hold the environment.

    Example: pilothouse rollback https://git.example.org/team/model-api.git production \
    --by lead@example.org --reason "latency doubled"
    """

    async def work() -> RollbackResult:
        request = RollbackRequest(
            repository=RepositoryRef(url=url, default_branch=branch),
            environment=environment,
            request_id=uuid4().hex[:12],
            to_revision=to,
            bad_revision=bad,
            reason=reason,
            requested_by=by,
        )
        client = await connect_here()
        result: RollbackResult = await client.execute_workflow(
            names.ROLLBACK_WORKFLOW,
            request,
            id=names.rollback_id(request.repository.slug, environment, request.request_id),
            task_queue=names.WORKFLOW_QUEUE,
            result_type=RollbackResult,
            static_summary=f"rollback of {environment}, by hand",
        )
        return result

    result = run_here(work())
    if output is Output.json:
        print_json(result.model_dump(mode="json"))
    else:
        say(f"{result.outcome}: {result.message}")
    if result.outcome != "rolled_back":
        raise typer.Exit(ANSWER_IS_NO)
