"""The pipeline file, read strictly; each mistake as a finding in people's words."""

import json
import re
import typing
from difflib import get_close_matches

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from pilothouse.gitops.manifests.documents import decode, read_documents
from pilothouse.gitops.manifests.places import Document, escape
from pilothouse.gitops.manifests.scalars import described
from pilothouse.models.findings import Finding
from pilothouse.models.pipeline import Pipeline, PipelineFile

PIPELINE_FILE = "pipeline.yaml"
_NAME_RULE = "lower-case letters, digits, '-' and '_', at most 63 characters"
_Step = str | int


def parse_pipeline(data: bytes, file: str = PIPELINE_FILE) -> tuple[Pipeline | None, list[Finding]]:
    """Read a pipeline file.

    Returns:
        The pipeline and no finding, or None and every mistake at once. Never raises for content.
    """
    text = decode(data, file)
    if isinstance(text, Finding):
        return None, [text]
    read = read_documents(text, file)
    findings = list(read.findings)
    if findings:
        return None, findings
    if len(read.documents) != 1:
        many = len(read.documents)
        message = f"the file holds {many} documents" if many else "the file is empty"
        return None, [_finding(file, 1, "", message, "Write one document with the key `pipeline`.")]
    document = read.documents[0]
    try:
        # Strict, and by way of JSON, which has no tuples: "yes" is no boolean, 5 is no text.
        checked = PipelineFile.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        return None, _mistakes(error, document, file)
    wrong = _health_checks(checked.pipeline, document, file)
    return (None, wrong) if wrong else (checked.pipeline, [])


def missing_pipeline(file: str = PIPELINE_FILE, where: str = "the repository") -> Finding:
    """The finding for a repository, or the revision that `where` names, without a pipeline file."""
    return _finding(
        file,
        0,
        "",
        f"{where} has no {file} at its root",
        f"Add {file}: it declares the agents and the environments.",
    )


def _health_checks(pipeline: Pipeline, document: Document, file: str) -> list[Finding]:
    """Health checks whose CEL cannot be compiled."""
    if not pipeline.health_checks:
        return []
    # CEL is loaded where there are checks: most pipeline files have none.
    from pilothouse.gitops.health.checks import check_findings

    findings: list[Finding] = []
    for problem in check_findings(pipeline.health_checks):
        path = f"/pipeline/health_checks/{problem.check}/{problem.field}"
        findings.append(
            Finding(
                rule="health-check",
                severity="error",
                file=file,
                line=document.place.find(path).line,
                path=path,
                message=f"{problem.field} is no CEL: {problem.message}",
                fix="Correct the expression; `object`, `metadata`, `spec` and `status` are known.",
            )
        )
    return findings


def _finding(file: str, line: int, path: str, message: str, fix: str) -> Finding:
    return Finding(
        rule="pipeline-file",
        severity="error",
        file=file,
        line=line,
        path=path,
        message=message,
        fix=fix,
    )


def _mistakes(error: ValidationError, document: Document, file: str) -> list[Finding]:
    details = error.errors(include_url=False)
    findings: dict[tuple[str, str], Finding] = {}
    for detail in details:
        steps = _real_steps(detail, document.value)
        pointer = "".join(f"/{escape(str(step))}" for step in steps)
        message, fix = _in_words(detail, steps)
        where = ".".join(str(step) for step in steps)
        if detail["type"] == "value_error" and len(steps) == 1:
            # A rule over the whole pipeline begins with the place that it is about.
            pointer = f"/{steps[0]}/{message.partition(' ')[0].replace('.', '/')}"
        elif detail["type"] not in {"missing", "extra_forbidden"} and where:
            message = f"{where}: {message}"
        line = document.place.find(pointer).line
        # A field of two types fails once for each; a person made one mistake.
        key = (pointer, message if detail["type"] == "value_error" else "")
        findings.setdefault(key, _finding(file, line, pointer, message, fix))
    return list(findings.values())


def _real_steps(detail: ErrorDetails, value: JsonValue) -> tuple[_Step, ...]:
    """The part of pydantic's location that exists in the document.

    It also names the branches of unions, and `[key]` for the key of a mapping.
    """
    steps: list[_Step] = []
    for step in detail["loc"]:
        if isinstance(value, dict) and step in value:
            value = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        elif isinstance(value, dict) and detail["type"] == "missing":
            return (*steps, step)
        else:
            break
        steps.append(step)
    return tuple(steps)


def _in_words(detail: ErrorDetails, steps: tuple[_Step, ...]) -> tuple[str, str]:
    """The message and the fix for one of pydantic's errors."""
    name = str(steps[-1]) if steps else ""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return f'required field "{name}" is missing', f"Add {name}."
        case "extra_forbidden":
            known = _fields_at(steps[:-1])
            close = get_close_matches(name, known, n=1)
            hint = f' (did you mean "{close[0]}"?)' if close else ""
            return f'unknown field "{name}"{hint}', f"Known here: {', '.join(known)}."
        case "value_error":
            return detail["msg"].removeprefix("Value error, "), "Correct the value."
        case "string_pattern_mismatch":
            pattern = str(context.get("pattern", ""))
            rule = _NAME_RULE if pattern.startswith("^[a-z0-9]") else f"text like {pattern}"
            return f"{described(detail['input'])} is not allowed here", f"Use {rule}."
        case "literal_error":
            return f"expected {context.get('expected')}, got {described(detail['input'])}", ""
        case "too_short":
            return "at least one entry is required", "Add one."
        case _:
            expected = _expected(detail)
            return f"expected {expected}, got {described(detail['input'])}", f"Write {expected}."


_EXPECTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "an integer",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _expected(detail: ErrorDetails) -> str:
    if detail["type"] in _EXPECTED:
        return _EXPECTED[detail["type"]]
    return re.sub(r"^Input should be (a valid )?", "", detail["msg"])


def _fields_at(steps: tuple[_Step, ...]) -> list[str]:
    """The fields of the model that stands at a place of the document."""
    model: object = PipelineFile
    for step in steps:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(step))
            model = field.annotation if field is not None else None
        elif typing.get_origin(model) is dict:
            model = typing.get_args(model)[1]
    if isinstance(model, type) and issubclass(model, BaseModel):
        return list(model.model_fields)
    return []
