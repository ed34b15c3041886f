"""JSON pointers (RFC 6901), and patterns of them in which `*` stands for one step."""

from collections.abc import Iterable, Sequence

from pydantic import JsonValue

from pilothouse.models.objects import ObjectRef
from pilothouse.models.pipeline import IgnoreRule

Pattern = tuple[str, ...]
"""The steps of a pointer; `*` is any one step, none left is the place itself."""


def steps_of(pointer: str) -> Pattern:
    """The keys that a pointer goes through; none for the whole document."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def patterns_for(ref: ObjectRef, rules: Iterable[IgnoreRule]) -> tuple[Pattern, ...]:
    """The places that the rules leave to others in one object."""
    return tuple(
        steps_of(pointer)
        for rule in rules
        if rule.kind in {"", ref.kind}
        and rule.group in {None, ref.group}
        and rule.name in {"", ref.name}
        for pointer in rule.pointers
    )


def below(patterns: Sequence[Pattern], step: str) -> tuple[Pattern, ...]:
    """What is left of the patterns one step down."""
    if not patterns:
        return ()
    return tuple(pattern[1:] for pattern in patterns if pattern and pattern[0] in {"*", step})


def is_met(patterns: Sequence[Pattern]) -> bool:
    """Whether one of the patterns ends here."""
    return () in patterns


def without(value: JsonValue, patterns: Sequence[Pattern]) -> JsonValue:
    """A copy that lacks the places of the patterns; the value itself where there are none."""
    if not patterns:
        return value
    if isinstance(value, dict):
        return {
            key: without(item, inner)
            for key, item in value.items()
            if not is_met(inner := below(patterns, key))
        }
    if isinstance(value, list):
        return [
            without(item, inner)
            for index, item in enumerate(value)
            if not is_met(inner := below(patterns, str(index)))
        ]
    return value
