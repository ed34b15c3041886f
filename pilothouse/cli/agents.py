"""agents: what the agents of a run saw, said, cited and cost."""

from typing import Annotated

import typer

from pilothouse.cli.connection import connect_here, store_here
from pilothouse.cli.console import ANSWER_IS_NO, Output, fail, print_json, say
from pilothouse.cli.runs import OutputOption, run_here
from pilothouse.clients.store import ContentStore
from pilothouse.clients.temporal.agents import FoundAgent, find_agents
from pilothouse.gitops.reports.agents import cost_of, tokens_of
from pilothouse.gitops.reports.transcripts import transcript_text
from pilothouse.models.conversations import Conversation
from pilothouse.models.errors import PermanentError

app = typer.Typer(help="What the agents of a run saw, said, cited and cost.", no_args_is_help=True)

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Workflow id, or commit id of at least seven digits.")
]


@app.command("list")
def list_agents(run: RunArgument, output: OutputOption = Output.text) -> None:
    """List the agents of a run, a deployment or a commit.

    Example: pilothouse agents list 4f2a91c
    """
    found = _found(run, "")
    if output is Output.json:
        print_json([_as_json(each) for each in found])
        return
    for each in found:
        result = each.result
        if result is None:
            say(f"{each.workflow}  {each.status}, without a result")
            continue
        say(f"{each.workflow}  {each.status}: {result.outcome}, {result.verdict}")
        say(f"  {result.turns} turns, {tokens_of(result.usage)} tokens, {cost_of(result.usage)}")


@app.command()
def show(
    run: RunArgument,
    agent: Annotated[str, typer.Argument(help="One agent only.")] = "",
    full: Annotated[
        bool, typer.Option("--full", help="Whole texts, not their first lines.")
    ] = False,
    output: OutputOption = Output.text,
) -> None:
    """Print what an agent saw, said, cited and cost.

    Texts come from the content store of this machine's data folder.

    Example: pilothouse agents show pipeline/git.example.org/team/model-api/push/4f2a... validator
    """
    store = store_here()
    found = _found(run, agent)
    if output is Output.json:
        print_json([_as_json(each, store) for each in found])
        return
    for number, each in enumerate(found):
        say("\n" * bool(number) + each.workflow, style="bold")
        if each.result is None:
            say(f"{each.status}, without a result")
            continue
        conversation = _conversation(store, each.result.transcript)
        lines = transcript_text(
            each.result, conversation, lambda digest: _text(store, digest), full=full
        )
        say("\n".join(lines))


def _found(run: str, agent: str) -> list[FoundAgent]:
    async def work() -> list[FoundAgent]:
        return await find_agents(await connect_here(), run)

    found = [each for each in run_here(work()) if agent in {"", each.name}]
    if not found:
        whose = f"no agent {agent!r}" if agent else "no agent"
        fail(
            f"{whose} took part in {run}: agents without a model ask nobody, and a run shows up "
            "here a second after its start",
            ANSWER_IS_NO,
        )
    return found


def _as_json(found: FoundAgent, store: ContentStore | None = None) -> dict[str, object]:
    result = found.result
    document: dict[str, object] = {
        "workflow": found.workflow,
        "status": found.status,
        "result": result.model_dump(mode="json") if result else None,
    }
    if store is not None and result is not None:
        conversation = _conversation(store, result.transcript)
        document["conversation"] = conversation.model_dump(mode="json") if conversation else None
    return document


def _conversation(store: ContentStore, digest: str) -> Conversation | None:
    text = _text(store, digest)
    return Conversation.model_validate_json(text) if text is not None else None


def _text(store: ContentStore, digest: str) -> str | None:
    if not digest:
        return None
    try:
        return store.get(digest).decode("utf-8", "replace")
    except PermanentError:  # trimmed, or another machine's: the rest is still worth showing
        return None
