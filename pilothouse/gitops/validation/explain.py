"""What a schema's complaint means to the person who wrote the manifest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import jsonschema_rs
from jsonschema_rs import ValidationErrorKind as Kind
from pydantic import JsonValue

from pilothouse.gitops.manifests.places import escape
from pilothouse.gitops.manifests.scalars import described

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "object": "a mapping",
    "string": "a string",
}
_DEEPEST_SEARCH = 4


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong at one place of an object."""

    path: str
    """JSON pointer."""
    message: str
    fix: str


def explain(
    error: jsonschema_rs.ValidationError,
    schema: Mapping[str, JsonValue],
    *,
    secret: bool = False,
) -> Iterator[Problem]:
    """An error of the validator in people's words, with what to do.

    Args:
        error: what the validator found.
        schema: the whole schema, to see which fields are known.
        secret: whether the object's values must not be repeated.
    """
    steps: list[str | int] = list(error.instance_path)
    match error.kind:
        case Kind.AdditionalProperties(unexpected=names):
            for name in names:
                yield _unknown_field(schema, steps, name)
        case Kind.Required(property=name):
            yield Problem(
                _pointer([*steps, name]), f'required field "{name}" is missing', f"Add {name}."
            )
        case Kind.AnyOf(context=branches) | Kind.OneOfNotValid(context=branches):
            yield from _best_branch(error, branches, schema, secret=secret)
        case _:
            message, fix = _value_problem(error, secret=secret)
            yield Problem(_pointer(steps), f"{_name(steps)}: {message}", fix)


def _value_problem(error: jsonschema_rs.ValidationError, *, secret: bool) -> tuple[str, str]:
    got = described(error.instance, secret=secret)
    match error.kind:
        case Kind.Type(types=types):
            return _type_problem(types, error.instance, got)
        case Kind.Enum(options=options) if isinstance(options, list):
            shown = ", ".join(f'"{option}"' for option in options if option is not None)
            close = get_close_matches(str(error.instance), [str(o) for o in options], n=1)
            hint = f' (did you mean "{close[0]}"?)' if close else ""
            return f"expected one of {shown}, got {got}{hint}", "Use one of these."
        case Kind.Format(format="byte"):
            return "the value is not base64", "Encode it, or use stringData for plain text."
        case Kind.Format(format=name):
            return f"expected a {name}, got {got}", f"Write a {name}."
        case Kind.Pattern(pattern=pattern):
            return f"{got} does not match {pattern}", "Correct the value."
        case Kind.OneOfMultipleValid():
            return "more than one of the allowed forms matches", "Use exactly one of them."
        case kind:
            limit = getattr(kind, "limit", None)
            rule = kind.name if limit is None else f"{kind.name} {limit}"
            return f"{got} breaks the rule {rule}", "Correct the value."


def _type_problem(types: Sequence[str], value: object, got: str) -> tuple[str, str]:
    expected = " or ".join(_TYPES.get(name, name) for name in types if name != "null")
    fix = f"Write {expected}."
    if "string" in types and isinstance(value, int | float):
        fix = "Put the value in quotes."
    elif "string" not in types and isinstance(value, str) and _is_number(value):
        fix = "Remove the quotes."
    return f"expected {expected}, got {got}", fix


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _best_branch(
    error: jsonschema_rs.ValidationError,
    branches: Sequence[Sequence[jsonschema_rs.ValidationError]],
    schema: Mapping[str, JsonValue],
    *,
    secret: bool,
) -> Iterator[Problem]:
    """One answer for a choice of forms: all their types, or the form that came closest."""
    steps: list[str | int] = list(error.instance_path)
    types: list[str] = []
    closest: Sequence[jsonschema_rs.ValidationError] = ()
    for branch in branches:
        first = branch[0] if branch else None
        if first is not None and len(branch) == 1 and list(first.instance_path) == steps:
            match first.kind:
                case Kind.Type(types=own):
                    types += [name for name in own if name not in types]
                    continue
        if branch and (not closest or len(branch) < len(closest)):
            closest = branch
    if closest:
        for inner in closest:
            yield from explain(inner, schema, secret=secret)
        return
    got = described(error.instance, secret=secret)
    message, fix = _type_problem(types, error.instance, got)
    yield Problem(_pointer(steps), f"{_name(steps)}: {message}", fix)


def _unknown_field(schema: Mapping[str, JsonValue], steps: list[str | int], name: str) -> Problem:
    part = _part(schema, steps)
    known = _fields(schema, part)
    close = get_close_matches(name, known, n=1) or [
        field for field in known if field.lower() == name.lower()
    ]
    fix = "Correct the name, or remove the field."
    hint = ""
    if close:
        hint = f' (did you mean "{close[0]}"?)'
        fix = f"Write {close[0]}."
    elif (deeper := _deeper(schema, part, name)) is not None:
        here = ".".join([*(str(step) for step in steps), deeper])
        hint = f" (it belongs in {here})"
        fix = f"Move it to {here}."
    return Problem(_pointer([*steps, name]), f'unknown field "{name}"{hint}', fix)


def _part(schema: Mapping[str, JsonValue], steps: Sequence[str | int]) -> Mapping[str, JsonValue]:
    """The part of a schema that speaks of one place."""
    part = _resolved(schema, schema)
    for step in steps:
        following: JsonValue | None
        if isinstance(step, int):
            following = part.get("items")
        else:
            following = _fields(schema, part).get(step, part.get("additionalProperties"))
        part = _resolved(schema, following)
    return part


def _resolved(schema: Mapping[str, JsonValue], part: object) -> Mapping[str, JsonValue]:
    if not isinstance(part, Mapping):
        return {}
    reference = part.get("$ref")
    definitions = schema.get("$defs")
    if isinstance(reference, str) and isinstance(definitions, dict):
        target = definitions.get(reference.rpartition("/")[2])
        return target if isinstance(target, dict) else {}
    return part


def _fields(schema: Mapping[str, JsonValue], part: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    properties = _resolved(schema, part).get("properties")
    return properties if isinstance(properties, dict) else {}


def _deeper(
    schema: Mapping[str, JsonValue], part: Mapping[str, JsonValue], name: str
) -> str | None:
    """Where below a place a field of this name exists, breadth first: `template.spec`."""
    level: list[tuple[str, Mapping[str, JsonValue]]] = [("", part)]
    for _ in range(_DEEPEST_SEARCH):
        following: list[tuple[str, Mapping[str, JsonValue]]] = []
        for path, current in level:
            for field, inner in _fields(schema, current).items():
                target = _resolved(schema, inner)
                where = f"{path}.{field}" if path else field
                if name in _fields(schema, target):
                    return where
                following.append((where, target))
        level = following
    return None


def _pointer(steps: Sequence[str | int]) -> str:
    return "".join(f"/{escape(str(step))}" for step in steps)


def _name(steps: Sequence[str | int]) -> str:
    """The field that a message begins with: `replicas`, `args[1]`."""
    name = "the object"
    for step in steps:
        name = f"{name}[{step}]" if isinstance(step, int) else step
    return name
