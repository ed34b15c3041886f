"""The pipeline file, read strictly; each mistake as a finding in people's words."""

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from pilothouse.gitops.manifests.documents import decode, read_documents
from pilothouse.gitops.manifests.places import Document
from pilothouse.gitops.pipelines.agents import agent_problems, prompt_file_problems
from pilothouse.gitops.pipelines.graph import graph_problems
from pilothouse.gitops.pipelines.mistakes import mistakes
from pilothouse.gitops.pipelines.problems import Origin, Problem
from pilothouse.gitops.pipelines.short_form import expand
from pilothouse.models.findings import Finding
from pilothouse.models.pipeline import Pipeline, PipelineFile
from pilothouse.models.short_form import ShortFormFile

PIPELINE_FILE = "pipeline.yaml"


def parse_pipeline(data: bytes, file: str = PIPELINE_FILE) -> tuple[Pipeline | None, list[Finding]]:
    """Read a pipeline file of either form, for a run.

    Returns:
        The pipeline and no finding, or None and every mistake at once. Never raises for content.
        What is allowed and hardly meant is only said by `check_pipeline`.
    """
    read = _read(data, file)
    errors = [finding for finding in read.findings() if finding.severity == "error"]
    return (None, errors) if errors else (read.pipeline, [])


def check_pipeline(
    data: bytes, file: str = PIPELINE_FILE, has_file: Callable[[str], bool] | None = None
) -> tuple[Pipeline | None, list[Finding]]:
    """Read a pipeline file for the people who write it: warnings and notes as well.

    Args:
        data: the file.
        file: what findings call it.
        has_file: whether the repository has a file; without it nothing is said of missing ones.

    Returns:
        The pipeline, also one by which nothing would run as long as it is understood; and all
        findings, in the order of the file.
    """
    read = _read(data, file)
    findings = list(read.findings())
    if read.pipeline is not None and read.origin is not None:
        findings += map(read.origin.finding, graph_problems(read.pipeline))
        if has_file is not None:
            findings += map(read.origin.finding, prompt_file_problems(read.pipeline, has_file))
    return read.pipeline, sorted(findings, key=lambda finding: finding.line)


def missing_pipeline(file: str = PIPELINE_FILE, where: str = "the repository") -> Finding:
    """The finding for a repository, or the revision that `where` names, without a pipeline file."""
    return _finding(
        file,
        0,
        f"{where} has no {file} at its root",
        f"Add {file}: it declares the agents and the environments.",
    )


class _Read(NamedTuple):
    """A file as far as it could be read."""

    pipeline: Pipeline | None
    wrong: list[Finding]
    """Why there is no pipeline."""
    origin: Origin | None = None

    def findings(self) -> Iterator[Finding]:
        """What is wrong with the file; the graph as a whole has nothing that is an error."""
        yield from self.wrong
        if self.pipeline is not None and self.origin is not None:
            for check in (agent_problems, _tools, _health_checks):
                yield from map(self.origin.finding, check(self.pipeline))


def _read(data: bytes, file: str) -> _Read:
    text = decode(data, file)
    if isinstance(text, Finding):
        return _Read(None, [text])
    read = read_documents(text, file)
    if read.findings:
        return _Read(None, list(read.findings))
    if len(read.documents) != 1:
        many = len(read.documents)
        message = f"the file holds {many} documents" if many else "the file is empty"
        fix = "Write one document with the key `pipeline`, or `workflow` for the short form."
        return _Read(None, [_finding(file, 1, message, fix)])
    return _understood(read.documents[0], file)


def _understood(document: Document, file: str) -> _Read:
    keys = set(document.value) if isinstance(document.value, dict) else set()
    origin = Origin(file, document.place)
    if {"pipeline", "workflow"} <= keys:
        message = "the file has both `pipeline` and `workflow`, which are two forms of the same"
        both = Problem("/workflow", message, "Keep one of the two.")
        return _Read(None, [origin.finding(both)])
    form: type[BaseModel] = ShortFormFile if "workflow" in keys else PipelineFile
    try:
        # Strict, and by way of JSON, which has no tuples: "yes" is no boolean, 5 is no text.
        checked = form.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        wrong = mistakes(error, document.value, form)
        return _Read(None, [origin.finding(each) for each in wrong])
    if isinstance(checked, PipelineFile):
        return _Read(checked.pipeline, [], origin)
    expanded = expand(ShortFormFile.model_validate(checked).workflow)
    wrong = expanded.problems
    moved = Origin(file, document.place, expanded.moved)
    return _Read(expanded.pipeline, [origin.finding(each) for each in wrong], moved)


def _tools(pipeline: Pipeline) -> Iterator[Problem]:
    """Tools and their servers, which most pipeline files have none of."""
    if pipeline.mcp_servers or any(agent.mcp_tools for agent in pipeline.agents.values()):
        from pilothouse.gitops.pipelines.tools import tool_problems

        yield from tool_problems(pipeline)


def _health_checks(pipeline: Pipeline) -> Iterator[Problem]:
    """Health checks whose CEL cannot be compiled."""
    if not pipeline.health_checks:
        return
    # CEL is loaded where there are checks: most pipeline files have none.
    from pilothouse.gitops.health.checks import check_findings

    for problem in check_findings(pipeline.health_checks):
        yield Problem(
            f"/pipeline/health_checks/{problem.check}/{problem.field}",
            f"{problem.field} is no CEL: {problem.message}",
            "Correct the expression; `object`, `metadata`, `spec` and `status` are known.",
            rule="health-check",
        )


def _finding(file: str, line: int, message: str, fix: str) -> Finding:
    return Finding(
        rule="pipeline-file", severity="error", file=file, line=line, message=message, fix=fix
    )
