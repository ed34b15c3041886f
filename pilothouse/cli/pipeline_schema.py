"""The JSON Schema of the pipeline file: what editors complete and explain."""

import ast
import inspect
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from pydantic.json_schema import models_json_schema

from pilothouse.models import pipeline, short_form
from pilothouse.models.base import Declaration

_TITLE = "Pilothouse pipeline file"
_MODULES = (pipeline, short_form)
_Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""


def pipeline_schema() -> str:
    """The schema as JSON text, draft 2020-12. The same code gives the same bytes."""
    _, schema = models_json_schema([
        (pipeline.Pipeline, "validation"),
        (short_form.ShortForm, "validation"),
    ])
    definitions: dict[str, _Schema] = schema["$defs"]
    for name, words in _field_words().items():
        for field, text in words.items():
            # The field's own words; they come before what its type says of itself.
            definitions[name]["properties"][field]["description"] = text
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": _TITLE,
        "description": "Agents, environments and MCP servers of a repository; or the short form.",
        "type": "object",
        "properties": {
            "pipeline": {"$ref": "#/$defs/Pipeline"},
            "workflow": {"$ref": "#/$defs/ShortForm"},
        },
        "additionalProperties": False,
        "oneOf": [{"required": ["pipeline"]}, {"required": ["workflow"]}],
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(_tidy(document), indent=2, ensure_ascii=False) + "\n"


def _field_words() -> dict[str, dict[str, str]]:
    """Class -> field -> its docstring, which Python itself does not keep."""
    return {
        name: words
        for module in _MODULES
        for name, words in _documented(module)
        if issubclass(getattr(module, name), Declaration)
    }


def _documented(module: ModuleType) -> Iterator[tuple[str, dict[str, str]]]:
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, dict(_docstrings(node))


def _docstrings(of: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, words in zip(of.body, of.body[1:], strict=False):
        match field, words:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str() as text)):
                yield name, text


def _tidy(part: Any) -> Any:
    """Without titles that only repeat names; and no key that fits no pattern is let through."""
    if isinstance(part, list):
        return [_tidy(each) for each in part]
    if not isinstance(part, dict):
        return part
    # Below these the keys are names of fields, and one of them may be called `title`.
    tidied = {
        key: {name: _tidy(each) for name, each in value.items()}
        if key in {"properties", "$defs", "patternProperties"}
        else _tidy(value)
        for key, value in part.items()
        if key != "title" or value == _TITLE
    }
    if "patternProperties" in tidied:
        tidied["additionalProperties"] = False
    words = tidied.get("description")
    return {**tidied, "description": " ".join(words.split())} if isinstance(words, str) else tidied
