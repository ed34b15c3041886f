"""owner: whose an environment is; a person hands it to another, or back."""

from typing import Annotated

import typer

from pilothouse.cli.connection import connect_here
from pilothouse.cli.console import ANSWER_IS_NO, WRONG_USE, Output, fail, print_json, say
from pilothouse.cli.runs import Environment, OutputOption, Url, run_here
from pilothouse.clients.temporal.requests import WorkspaceRequests
from pilothouse.models.environment import EnvironmentState, OwnershipClaim
from pilothouse.models.repository import RepositoryRef


def owner(
    url: Url,
    environment: Environment,
    to: Annotated[str, typer.Option(help="E-mail of who alone approves from now on.")] = "",
    nobody: Annotated[
        bool, typer.Option("--nobody", help="Hand it back: the pipeline file's approvers decide.")
    ] = False,
    by: Annotated[
        str, typer.Option("--by", help="With --to or --nobody: your name or e-mail.")
    ] = "",
    reason: Annotated[str, typer.Option(help="With --to or --nobody: why.")] = "",
    output: OutputOption = Output.text,
) -> None:
    """Show whose an environment is, hand it to a person, or back.

    Example: pilothouse owner https://git.example.org/team/model-api.git production \
    --to lead@example.org --by you@example.org --reason "on call this week"
    """
    if to and nobody:
        fail("either --to or --nobody", WRONG_USE)
    changes = bool(to) or nobody
    if changes and not (by.strip() and reason.strip()):
        fail("--to and --nobody need --by and --reason: both are remembered", WRONG_USE)
    repository = RepositoryRef(url=url)

    async def work() -> tuple[bool, EnvironmentState | None]:
        requests = WorkspaceRequests(await connect_here())
        before = await requests.environment(repository.slug, environment)
        if not changes:
            return before is not None, before
        claim = OwnershipClaim(owner=to, by=by, reason=reason)
        return before is not None, await requests.transfer(repository, environment, claim)

    known, state = run_here(work())
    if changes and state is None:
        fail("the environment is told, but no worker is up to answer", ANSWER_IS_NO)
    _show(environment, state, output)
    if not known and output is Output.text:
        say(f"  nothing was ever deployed to {environment}: is it spelled like that?")
    if changes and state is not None and state.owner.lower() != to.strip().lower():
        fail(f"refused: {state.notices[-1] if state.notices else 'unknown'}", ANSWER_IS_NO)


def _show(environment: str, state: EnvironmentState | None, output: Output) -> None:
    whose = state.ownership if state is not None else None
    if output is Output.json:
        print_json(whose.model_dump(mode="json") if whose else None)
    elif whose is None:
        say(f"{environment} is nobody's: whom the pipeline file lets approves there")
    else:
        why = f": {whose.reason}" if whose.reason else ""
        say(f"{whose.owner} alone approves in {environment}")
        say(f"  by {whose.by} at {whose.since[:19]}{why}")
