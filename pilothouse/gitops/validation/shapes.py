"""Reading JSON whose shape is not known to be right: a schema error is another check's to tell."""

from collections.abc import Iterator

from pydantic import JsonValue


def mapping(value: JsonValue | None) -> dict[str, JsonValue]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def entries(value: JsonValue | None) -> Iterator[tuple[int, dict[str, JsonValue]]]:
    """The mappings of a list with their positions; nothing for anything else."""
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict):
            yield index, item


def text(value: JsonValue | None) -> str:
    """The value if it is text, else empty."""
    return value if isinstance(value, str) else ""


def at(value: JsonValue | None, *steps: str) -> JsonValue | None:
    """The value some keys down, or None if one of them is not there."""
    for step in steps:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value
