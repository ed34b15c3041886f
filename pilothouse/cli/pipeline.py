"""pipeline check, pipeline schema: what a pipeline file says, before anything runs by it."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from pilothouse.cli.console import ANSWER_IS_NO, WRONG_USE, Output, fail, print_json

app = typer.Typer(help="The pipeline file: what it says, and its schema.", no_args_is_help=True)


class _Source(NamedTuple):
    """A pipeline file, and the repository around it if there is one."""

    data: bytes
    file: str
    root: Path | None


@app.command()
def check(
    path: Annotated[
        str, typer.Argument(help="A pipeline file, a repository, or `-` for standard input.")
    ] = ".",
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.text,
) -> None:
    """Check a pipeline file, and show the trigger graph and what each agent may do.

    Exit code 0: it can be used, with warnings or without. 1: it has errors, and nothing would run.
    2: wrong use, or the file cannot be read.

    Example: pilothouse pipeline check pipeline.yaml --output json
    """
    from pilothouse.gitops.pipeline_file import check_pipeline
    from pilothouse.gitops.pipelines.overview import overview
    from pilothouse.gitops.reports.findings import findings_text
    from pilothouse.gitops.reports.pipelines import pipeline_text

    source = _read(path)
    has_file = partial(_has_file, source.root) if source.root is not None else None
    pipeline, findings = check_pipeline(source.data, source.file, has_file)
    understood = overview(pipeline) if pipeline is not None else None
    if output is Output.json:
        print_json({
            "findings": [finding.model_dump(mode="json") for finding in findings],
            "pipeline": understood.model_dump(mode="json") if understood is not None else None,
        })
    else:
        sys.stdout.write(findings_text(findings))
        sys.stdout.write(pipeline_text(understood) if understood is not None else "")
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(ANSWER_IS_NO)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the pipeline file, for editors.

    Example: pilothouse pipeline schema > pipeline.schema.json
    """
    from pilothouse.cli.pipeline_schema import pipeline_schema

    sys.stdout.write(pipeline_schema())


def _read(path: str) -> _Source:
    from pilothouse.gitops.pipeline_file import PIPELINE_FILE

    if path == "-":
        return _Source(sys.stdin.buffer.read(), "standard input", None)
    file = Path(path)
    if file.is_dir():
        file /= PIPELINE_FILE
    try:
        data = file.read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror}", WRONG_USE)
    # Only at a repository's root is it the file that paths in it start from.
    return _Source(data, str(file), file.parent if file.name == PIPELINE_FILE else None)


def _has_file(root: Path, path: str) -> bool:
    """Whether a run would find the file: Git has links as links."""
    return (root / path).is_file() and not (root / path).is_symlink()
