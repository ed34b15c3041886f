"""The input schemas of tools, from servers that we do not trust."""

import functools
from collections.abc import Callable, Mapping
from typing import Final

import jsonschema_rs
from pydantic import JsonValue

from pilothouse.models.objects import canonical_json

MAX_DEPTH: Final = 24
MAX_NODES: Final = 3_000
"""Subschemas, with every reference written out."""
MAX_BYTES: Final = 64 * 1024
MAX_ARGUMENTS: Final = 256 * 1024
"""Bytes of one call's arguments as JSON."""
MAX_PROBLEMS: Final = 5
IDEMPOTENCY_KEY: Final = "idempotency_key"
"""An argument that we fill in ourselves: no model chooses what counts as the same call."""
_MAPS: Final = frozenset({"properties", "patternProperties", "dependentSchemas"})
_DATA: Final = frozenset({"enum", "const", "default", "examples", "example", "required", "type"})
_DROPPED: Final = frozenset({"$defs", "definitions", "$id", "id", "$schema", "$anchor", "$comment"})
_DYNAMIC: Final = frozenset({"$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor"})

Schema = dict[str, JsonValue]


class SchemaError(ValueError):
    """Why a tool's schema cannot be used. Quotes nothing of it."""


def self_contained(schema: Mapping[str, JsonValue]) -> Schema:
    """The schema with every reference written out; nothing is ever fetched.

    Where a schema contains itself it is cut: anything goes below, and the server checks it.

    Raises:
        SchemaError: it is too large or too deep, is no schema of an object, or refers outside.
    """
    try:
        size = len(canonical_json(dict(schema)))
    except RecursionError:
        raise SchemaError("its schema is nested too deeply") from None
    if size > MAX_BYTES:
        raise SchemaError(f"its schema has more than {MAX_BYTES // 1024} KiB")
    expanded = _Expansion(schema).schema(dict(schema), (), 0)
    if not isinstance(expanded, dict) or expanded.get("type", "object") != "object":
        raise SchemaError("its schema does not describe an object")
    expanded = {"type": "object", **expanded}
    # Patterns that need a backtracking engine could hold the worker: the server checks those.
    for candidate in (expanded, _without_patterns(expanded)):
        if isinstance(candidate, dict) and _compiles(candidate):
            return candidate
    raise SchemaError("its schema is not valid JSON Schema")


def _compiles(schema: Schema) -> bool:
    try:
        _validator(canonical_json(schema))
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError):
        return False
    return True


def _without_patterns(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [_without_patterns(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_patterns(item)
        for key, item in value.items()
        if not (key == "pattern" and isinstance(item, str)) and key != "patternProperties"
    }


class _Expansion:
    """One walk over a schema. Counts what it makes, so that it ends however references multiply."""

    def __init__(self, root: Mapping[str, JsonValue]) -> None:
        self._root = root
        self._nodes = 0

    def schema(self, value: JsonValue, within: tuple[str, ...], depth: int) -> JsonValue:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise SchemaError("its schema is too large or nested too deeply")
        if isinstance(value, list):
            return [self.schema(item, within, depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        if _DYNAMIC & value.keys():
            raise SchemaError("its schema uses dynamic references")
        own = {
            key: self._member(key, item, within, depth)
            for key, item in value.items()
            if key not in _DROPPED and key != "$ref"
        }
        if "$ref" not in value:
            return own
        target = self._follow(value["$ref"], within, depth)
        if not own:
            return target
        if isinstance(target, dict) and not (own.keys() & target.keys()):
            return {**target, **own}
        beside = own.pop("allOf", [])
        return {**own, "allOf": [target, *(beside if isinstance(beside, list) else [])]}

    def _member(self, key: str, value: JsonValue, within: tuple[str, ...], depth: int) -> JsonValue:
        if key in _DATA:
            return value
        if key in _MAPS and isinstance(value, dict):
            return {name: self.schema(item, within, depth + 1) for name, item in value.items()}
        return self.schema(value, within, depth + 1)

    def _follow(self, reference: JsonValue, within: tuple[str, ...], depth: int) -> JsonValue:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise SchemaError("its schema refers to another document")
        if reference in within:
            return True
        target: JsonValue = dict(self._root)
        for step in reference.lstrip("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and name in target:
                target = target[name]
            else:
                raise SchemaError("its schema has a reference that leads nowhere")
        if reference not in {"#", "#/"} and not reference.startswith("#/"):
            raise SchemaError("its schema has a reference that leads nowhere")
        return self.schema(target, (*within, reference), depth + 1)


def with_words(
    schema: Schema, describe: Callable[[str], str], clean: Callable[[str], str]
) -> Schema:
    """The schema with every text in it changed: all of them are words to a model.

    A pattern that would change is left out: the server checks it. What is no schema any more then
    allows every object, which the server checks as well.

    Args:
        schema: from `self_contained`.
        describe: for titles and descriptions.
        clean: for names and values.
    """
    changed = _with_words(schema, describe, clean)
    if isinstance(changed, dict) and _compiles(changed):
        return changed
    return {"type": "object"}


def _with_words(
    schema: JsonValue, describe: Callable[[str], str], clean: Callable[[str], str]
) -> JsonValue:
    if isinstance(schema, str):
        return clean(schema)
    if isinstance(schema, list):
        return [_with_words(item, describe, clean) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        clean(key): describe(item)
        if key in {"description", "title"} and isinstance(item, str)
        else _with_words(item, describe, clean)
        for key, item in schema.items()
        if not (key == "pattern" and isinstance(item, str) and clean(item) != item)
    }


def argument_problems(schema: Schema, arguments: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """What is wrong with a call's arguments; empty: nothing.

    In words for the model that made them: places and rules, never the values.

    Args:
        schema: from `self_contained`.
        arguments: what the model gave.
    """
    try:
        size = len(canonical_json(dict(arguments)))
    except RecursionError:
        return ("the arguments are nested too deeply",)
    if size > MAX_ARGUMENTS:
        return (f"the arguments have more than {MAX_ARGUMENTS // 1024} KiB",)
    problems = []
    for error in _validator(canonical_json(schema)).iter_errors(dict(arguments)):
        place = "/".join(str(step) for step in error.instance_path)
        problems.append(f"{place or 'arguments'}: {error.message}"[:300])
        if len(problems) >= MAX_PROBLEMS:
            break
    return tuple(problems)


@functools.lru_cache(maxsize=256)
def _validator(schema: bytes) -> jsonschema_rs.Validator:
    # The linear engine for patterns: one of a hostile server must not hold the worker.
    return jsonschema_rs.validator_for(
        schema.decode(),
        mask="(the value)",
        offline=True,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=1_000_000, dfa_size_limit=1_000_000),
    )
