"""The answer of a model, read strictly: what is not exactly the form is no answer."""

import json
from typing import Final, NamedTuple

from pydantic import ConfigDict, Field, ValidationError

from pilothouse.gitops.agents.sanitise import sanitise
from pilothouse.gitops.redaction import Redactor
from pilothouse.models.agents import AgentAnswer, Citation, ModelFinding
from pilothouse.models.base import explain

MAX_ANSWER: Final = 64 * 1024
"""Bytes. The form has no room for more: 50 findings of some hundred characters."""
_STRICT: Final = ConfigDict(extra="forbid", frozen=True)


class _Citation(Citation):
    model_config = _STRICT


class _Finding(ModelFinding):
    model_config = _STRICT
    evidence: tuple[_Citation, ...] = Field(default=(), max_length=20)


class _Answer(AgentAnswer):
    model_config = _STRICT
    findings: tuple[_Finding, ...] = Field(default=(), max_length=50)


class Parsed(NamedTuple):
    """An answer, or why there is none."""

    answer: AgentAnswer | None
    problem: str = ""
    """What is wrong; quotes nothing of the answer. The agent's outcome is then `malformed`."""
    hint: str = ""
    """What to tell the model for its one other try."""


class _RepeatedKeyError(ValueError):
    """One object names a key twice: two readers would see two answers."""


def parse_answer(data: bytes) -> Parsed:
    """Read the arguments of the result tool.

    Refused are repeated keys, unknown fields, wrong types, text that is cut off or too long: each
    could be read in two ways. Nothing is corrected.
    """
    if len(data) > MAX_ANSWER:
        return _malformed(f"the answer has {len(data)} bytes, more than {MAX_ANSWER}")
    try:
        document = json.loads(data, object_pairs_hook=_pairs, parse_constant=_no_constant)
    except _RepeatedKeyError:
        return _malformed("an object names a field twice")
    except RecursionError:
        return _malformed("the answer is nested too deeply")
    except ValueError:  # not JSON, cut off, or not UTF-8
        return _malformed("the answer is not complete JSON")
    if not isinstance(document, dict):
        return _malformed("the answer is not a JSON object")
    try:
        strict = _Answer.model_validate_json(data, strict=True)
    except ValidationError as error:
        return _malformed(_without_names(error))
    return Parsed(AgentAnswer.model_validate(strict.model_dump()))


def clean_answer(answer: AgentAnswer, redactor: Redactor) -> AgentAnswer:
    """The answer fit for histories, comments and people: its words are untrusted text as well."""

    def clean(text: str, limit: int) -> str:
        return sanitise(text, redactor).text[:limit]

    findings = tuple(
        finding.model_copy(
            update={
                "message": clean(finding.message, 500),
                "object": clean(finding.object, 300),
                "path": clean(finding.path, 300),
                "evidence": tuple(
                    each.model_copy(update={"quote": clean(each.quote, 300)})
                    for each in finding.evidence
                ),
            }
        )
        for finding in answer.findings
    )
    return answer.model_copy(update={"summary": clean(answer.summary, 2000), "findings": findings})


def _malformed(problem: str) -> Parsed:
    hint = (
        f"Your answer could not be used: {problem}. Call the result tool once more, with exactly "
        "the fields of its schema, each once, and shorter texts."
    )
    return Parsed(None, problem, hint)


def _without_names(error: ValidationError) -> str:
    """What is wrong, without the names of unknown fields, which the model chose."""
    unknown = [each for each in error.errors() if each["type"] == "extra_forbidden"]
    if unknown:
        return f"it has {len(unknown)} fields that the schema does not have"
    return explain(error)[:500]


def _pairs(items: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(items)
    if len(mapping) < len(items):
        raise _RepeatedKeyError
    return mapping


def _no_constant(name: str) -> None:
    raise ValueError(name)
