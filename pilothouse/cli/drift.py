"""drift: where a cluster no longer matches Git."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pilothouse.cli.console import ANSWER_IS_NO, WRONG_USE, clear_errors, fail, print_json, say
from pilothouse.cli.plan import PlanOutput, PlanOutputOption
from pilothouse.cli.targets import (
    Compared,
    ContextOption,
    EnvironmentOption,
    Target,
    Where,
    chosen,
    compare_with_cluster,
    files_at,
    read_target,
)
from pilothouse.models.names import short


def drift(
    path: Where = Path(),
    environment: EnvironmentOption = "",
    kubeconfig: Annotated[
        Path | None, typer.Option(help="The cluster; by default that of kubectl.")
    ] = None,
    context: ContextOption = None,
    revision: Annotated[
        str, typer.Option(help="Compare with this revision of the repository, not the files.")
    ] = "",
    output: PlanOutputOption = PlanOutput.text,
) -> None:
    """Show where the live cluster differs from Git: fields, missing objects, ones that left Git.

    Writes nothing. What may not be read is listed as unreadable: whether it drifted is unknown.

    Exit code 0: nothing drifted. 1: something did, or the cluster refused to compare it. 2: wrong
    use.

    Example: pilothouse drift . --environment production --kubeconfig cluster.yaml
    """
    from pilothouse.gitops.plan.drift import drift_of
    from pilothouse.gitops.plan.report.drift import drift_lines, drift_markdown

    with clear_errors():
        target = read_target(path, environment)
        if revision:
            target = _at(target, revision)
        if target.report.verdict == "block" and not target.bundle.manifests:
            fail("nothing could be loaded: see `pilothouse validate`", ANSWER_IS_NO)
        compared = asyncio.run(compare_with_cluster(target, kubeconfig, context, drift=True))
    found = drift_of(compared.plan, compared.drift)
    match output:
        case PlanOutput.json:
            shape = found.model_dump(mode="json")
            print_json({"environment": target.bundle.environment, "clean": found.clean, **shape})
        case PlanOutput.markdown:
            say(drift_markdown(found))
        case PlanOutput.text:
            for line in drift_lines(found):
                say(line.text, line.style)
            _say_basis(target, compared)
    if not found.clean or found.refused:
        raise typer.Exit(ANSWER_IS_NO)


def _at(target: Target, revision: str) -> Target:
    """The same environment as another revision of the repository declares it."""
    from pilothouse.clients.folder import read_files

    folder = read_files(files_at(target, revision), validated=False)
    bundle = chosen(folder, target.bundle.environment)
    declared = folder.pipeline.environments.get(bundle.environment) if folder.pipeline else None
    if target.repository is None:
        fail(f"{target.path} stands in no Git repository", WRONG_USE)
    resolved = target.repository.resolve(revision)
    return replace(
        target, bundle=bundle, report=folder.report, environment=declared, revision=resolved
    )


def _say_basis(target: Target, compared: Compared) -> None:
    """What was compared with what: a folder that is ahead of the cluster looks like drift."""
    if not compared.inventory:
        say("no inventory of this environment was found: objects that left Git are not known")
        return
    say(f"inventory {compared.inventory} in namespace {target.bundle.namespace}")
    deployed = compared.stored.revision if compared.stored else ""
    if deployed and deployed != target.revision:
        say(
            f"deployed is {short(deployed)}, compared was {short(target.revision)}: to leave out "
            f"what is not deployed yet, add --revision {short(deployed)}"
        )
