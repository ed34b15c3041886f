"""What pydantic has against a pipeline file, in people's words and with its place."""

import re
import typing
from difflib import get_close_matches

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from pilothouse.gitops.manifests.places import escape
from pilothouse.gitops.manifests.scalars import described
from pilothouse.gitops.pipelines.problems import Problem

_NAME_RULE = "lower-case letters, digits, '-' and '_', at most 63 characters"
_EMPTY = "at least one entry is required"
_TOP_LEVEL = ["pipeline", "workflow"]
_Step = str | int


def mistakes(error: ValidationError, value: JsonValue, form: type[BaseModel]) -> list[Problem]:
    """Each mistake once, however many of a field's types it breaks.

    Args:
        error: what `form` said about the document.
        value: the document.
        form: the model of the whole document.
    """
    problems: dict[tuple[str, str], Problem] = {}
    for detail in error.errors(include_url=False):
        steps = _real_steps(detail, value)
        pointer = "".join(f"/{escape(str(step))}" for step in steps)
        message, fix = _in_words(detail, steps, form)
        where = ".".join(str(step) for step in steps)
        if detail["type"] == "value_error" and len(steps) == 1:
            # A rule over the whole pipeline begins with the place that it is about.
            pointer = f"/{steps[0]}/{message.partition(' ')[0].replace('.', '/')}"
        elif detail["type"] not in {"missing", "extra_forbidden"} and where:
            message = f"{where}: {message}"
        # A field of two types fails once for each; a person made one mistake.
        key = (pointer, message if detail["type"] == "value_error" else "")
        problems.setdefault(key, Problem(pointer, message, fix))
    return [
        problem
        for (pointer, _), problem in problems.items()
        # A list whose only entry is wrong is not empty as well.
        if problem.message.partition(": ")[2] != _EMPTY
        or not any(other.startswith(f"{pointer}/") for other, _ in problems)
    ]


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


def _in_words(
    detail: ErrorDetails, steps: tuple[_Step, ...], form: type[BaseModel]
) -> tuple[str, str]:
    """The message and the fix for one of pydantic's errors."""
    name = str(steps[-1]) if steps else ""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return f'required field "{name}" is missing', f"Add {name}."
        case "extra_forbidden":
            known = _fields_at(form, steps[:-1])
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
            return _EMPTY, "Add one."
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


def _fields_at(form: type[BaseModel], steps: tuple[_Step, ...]) -> list[str]:
    """The fields of the model that stands at a place of the document."""
    if not steps:
        return _TOP_LEVEL
    model: object = form
    for step in steps:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(step))
            model = field.annotation if field is not None else None
        elif typing.get_origin(model) is dict:
            model = typing.get_args(model)[1]
    if isinstance(model, type) and issubclass(model, BaseModel):
        return list(model.model_fields)
    return []
