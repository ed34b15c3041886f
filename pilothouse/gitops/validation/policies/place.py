"""Which field of an object an expression speaks of, so that a finding can point at it."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.manifests.places import escape

_FIELD: Final = re.compile(r"(?<![\w.])object((?:\.\??[A-Za-z_]\w*)+)(\()?")


def place_of(expression: str, body: Mapping[str, JsonValue]) -> str:
    """JSON pointer of the first field that an expression reads, as deep as the object has it."""
    match = _FIELD.search(expression)
    if match is None:
        return ""
    value: JsonValue = dict(body)
    path = ""
    for step in match[1].replace("?", "").split(".")[1:]:
        if not isinstance(value, dict) or step not in value:
            break
        value = value[step]
        path += f"/{escape(step)}"
    return path
