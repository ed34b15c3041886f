"""The tool that ends every conversation: an `AgentAnswer` as its arguments."""

import functools
from collections.abc import Callable

from pydantic import JsonValue

from pilothouse.models.agents import AgentAnswer
from pilothouse.models.conversations import RESULT_TOOL, ToolDefinition

Schema = dict[str, JsonValue]
_LIMITS = {
    "maxLength": "at most {} characters",
    "maxItems": "at most {} entries",
    "pattern": "matches {}",
}


@functools.cache
def result_tool() -> ToolDefinition:
    """The result tool, with all limits in its schema: small models need them to come to an end."""
    schema = closed_schema(AgentAnswer.model_json_schema())
    schema["description"] = "Your answer. Give it once, when you have decided."
    return ToolDefinition(
        name=RESULT_TOOL,
        description="Give your final answer. This ends the conversation.",
        input_schema=schema,
    )


def closed_schema(schema: Schema) -> Schema:
    """A JSON schema that asks for every property and allows no other, as strict modes demand."""
    return _mapped(schema, _closed)


def spoken_limits(schema: Schema) -> Schema:
    """A JSON schema with its limits in words, for the strict modes that refuse these keywords.

    We check them on what comes back in any case.
    """
    return _mapped(schema, _spoken)


def _closed(schema: Schema) -> Schema:
    kept = {key: value for key, value in schema.items() if key not in {"default", "title"}}
    properties = kept.get("properties")
    if isinstance(properties, dict):
        kept |= {"required": list(properties), "additionalProperties": False}
    return kept


def _spoken(schema: Schema) -> Schema:
    kept = {key: value for key, value in schema.items() if key not in _LIMITS}
    limits = [text.format(schema[key]) for key, text in _LIMITS.items() if key in schema]
    if limits:
        words = [str(kept["description"])] if "description" in kept else []
        kept["description"] = "; ".join([*words, *limits])
    return kept


def _mapped(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """The schema with every schema in it changed, the innermost first."""

    def below(key: str, value: JsonValue) -> JsonValue:
        match value:
            case dict() if key in {"properties", "$defs"}:
                return {name: below("items", inner) for name, inner in value.items()}
            case dict() if key == "items":
                return _mapped(value, change)
            case list() if key in {"anyOf", "allOf", "oneOf"}:
                return [below("items", inner) for inner in value]
            case _:
                return value

    return change({key: below(key, value) for key, value in schema.items()})
