"""health: whether objects work, from a file, a pipe or a cluster."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from pilothouse.cli.console import (
    ANSWER_IS_NO,
    WRONG_USE,
    Output,
    clear_errors,
    fail,
    print_json,
    say,
)
from pilothouse.models.health import ObjectHealth
from pilothouse.models.pipeline import HealthCheck

_FILE_ENDINGS: Final = frozenset((".yaml", ".yml", ".json", ".jsonl", ".ndjson"))
_STYLES: Final = {
    "Healthy": "green", "Suspended": "cyan", "Progressing": "yellow", "Degraded": "red",
    "Missing": "red", "Unknown": "magenta",
}  # fmt: skip


def health(
    source: Annotated[
        str,
        typer.Argument(
            metavar="[FILE|-|KIND/NAME]",
            help="Live objects as YAML or JSON, `-` for standard input, or one of the cluster.",
        ),
    ] = "-",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Of KIND/NAME.")] = "default",
    kubeconfig: Annotated[
        Path | None, typer.Option(help="The cluster of KIND/NAME; by default that of kubectl.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="The kubeconfig's context.")] = None,
    pipeline: Annotated[
        Path | None, typer.Option(help="A pipeline file, whose health_checks are used.")
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="text or json: one line an object.")
    ] = Output.text,
) -> None:
    """Judge objects: Healthy, Progressing, Degraded, Suspended, Missing or Unknown, and why.

    Exit code 0: all are Healthy or Suspended. 1: some are not. 2: wrong use, unreadable input.

    Example: kubectl get certificates --output yaml | pilothouse health
    """
    with clear_errors():
        checks = _checks(pipeline) if pipeline else ()
        file = Path(source)
        if source == "-" or file.is_file() or "/" not in source or file.suffix in _FILE_ENDINGS:
            healths = _offline(source, checks)
        else:
            healths = [_of_cluster(source, namespace, kubeconfig, context, checks)]
    for one in healths:
        _say(one, output)
    if any(one.status not in {"Healthy", "Suspended"} for one in healths):
        raise typer.Exit(ANSWER_IS_NO)


def _offline(source: str, checks: Sequence[HealthCheck]) -> list[ObjectHealth]:
    from pilothouse.gitops.health import assess
    from pilothouse.gitops.health.live_objects import read_live_objects

    content = sys.stdin.buffer.read() if source == "-" else _read(Path(source))
    name = "standard input" if source == "-" else source
    found = read_live_objects(content, name)
    if not found:
        fail(f"{name} holds no object", WRONG_USE)
    return [assess(live, checks) for live in found]


def _of_cluster(
    source: str,
    namespace: str,
    kubeconfig: Path | None,
    context: str | None,
    checks: Sequence[HealthCheck],
) -> ObjectHealth:
    from pilothouse.clients.cluster.watching.single import health_of

    kind, _, name = source.partition("/")
    if not kind or not name or "/" in name:
        fail(f"{source!r} is neither a file nor KIND/NAME", WRONG_USE)
    return asyncio.run(
        health_of(
            kind,
            name,
            namespace=namespace,
            kubeconfig=kubeconfig,
            context=context,
            checks=checks,
        )
    )


def _checks(file: Path) -> Sequence[HealthCheck]:
    from pilothouse.gitops.pipeline_file import parse_pipeline

    pipeline, findings = parse_pipeline(_read(file), str(file))
    if pipeline is None:
        fail(f"{file}:{findings[0].line}: {findings[0].message}", WRONG_USE)
    return pipeline.health_checks


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror}", WRONG_USE)


def _say(found: ObjectHealth, output: Output) -> None:
    if output is Output.json:
        shape = found.object.model_dump(mode="json")
        print_json({"status": found.status, "message": found.message, "object": shape})
    else:
        line = f"{found.status:<11} {found.object}  {found.message}".rstrip()
        say(line, _STYLES[found.status])
