"""JSON from outside: bounded, repeated keys noticed, and no text that UTF-8 cannot hold."""

import json
from typing import NamedTuple, cast

from pydantic import JsonValue

MAX_DEPTH = 64


class MalformedError(Exception):
    """What came is not what the API promises. Says what, never quotes it."""


class Parsed(NamedTuple):
    """A document, and whether an object in it named a key twice (the last one then counts)."""

    value: JsonValue
    repeated_keys: bool


def parse_json(data: bytes | str) -> Parsed:
    """Read one JSON document.

    Raises:
        MalformedError: it is none, or is nested deeper than `MAX_DEPTH`.
    """
    repeated = False

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal repeated
        mapping = dict(items)
        repeated = repeated or len(mapping) < len(items)
        return mapping

    try:
        text = data.decode() if isinstance(data, bytes) else data
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant)
    except RecursionError:
        raise MalformedError("is nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, an endless number
        where = f" (position {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        raise MalformedError(f"is not JSON{where}") from None
    return Parsed(_clean(value, 0), repeated)


def parse_object(data: bytes | str) -> tuple[dict[str, JsonValue], bool]:
    """Read one JSON object, and whether a key was named twice anywhere in it.

    Raises:
        MalformedError: it is none.
    """
    value, repeated = parse_json(data)
    if not isinstance(value, dict):
        raise MalformedError("is not a JSON object")
    return value, repeated


def clean_text(text: str) -> str:
    """The text with `?` for lone surrogates, which JSON can escape and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _clean(value: object, depth: int) -> JsonValue:
    if depth > MAX_DEPTH:
        raise MalformedError("is nested too deeply")
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean(item, depth + 1) for key, item in value.items()}
    return cast(JsonValue, value)  # None, a boolean or a number: json.loads makes nothing else
