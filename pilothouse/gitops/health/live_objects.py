"""Live objects out of text, as `kubectl get --output` and the API server write them.

YAML with one document or many, JSON, JSON values one after another (JSON lines), and lists of
objects in any of these.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.health.fields import LiveObject, text
from pilothouse.gitops.manifests.builder import Limits
from pilothouse.gitops.manifests.documents import read_documents
from pilothouse.models.errors import PermanentError

_TEXT: Final = re.compile(r"\S")
_LIMITS: Final = Limits(size_bytes=64 * 1024 * 1024, nodes=2_000_000)
"""What a cluster answers is larger than what people write."""


def read_live_objects(content: bytes, file: str) -> list[LiveObject]:
    """Every object of a text, in its order; lists are taken apart.

    Args:
        content: UTF-8 text.
        file: its name, for messages.

    Raises:
        PermanentError: `InvalidRequest`, with file and line: it is no YAML or JSON, or holds
            something that is no object with `apiVersion` and `kind`.
    """
    if len(content) > _LIMITS.size_bytes:
        raise _wrong(file, 1, f"more than {_LIMITS.size_bytes:,} bytes are not read")
    try:
        source = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(file, content.count(b"\n", 0, error.start) + 1, "is not UTF-8") from None
    documents = _json(source, file) if source.lstrip()[:1] in {"{", "["} else _yaml(source, file)
    return [one for value, line in documents for one in _objects(value, file, line)]


def _json(source: str, file: str) -> Iterator[tuple[JsonValue, int]]:
    """JSON values, one after another, each with the line where it begins."""
    decoder = json.JSONDecoder()
    position = line = 0
    while True:
        found = _TEXT.search(source, position)
        if found is None:
            return
        start = found.start()
        line += source.count("\n", position, start)
        try:
            value, end = decoder.raw_decode(source, start)
        except json.JSONDecodeError as error:
            raise _wrong(file, error.lineno, f"is no JSON: {error.msg}") from None
        except RecursionError:
            raise _wrong(file, line + 1, "is nested too deeply") from None
        yield value, line + 1
        line += source.count("\n", start, end)
        position = end


def _yaml(source: str, file: str) -> Iterator[tuple[JsonValue, int]]:
    read = read_documents(source, file, _LIMITS)
    for finding in read.findings:
        raise _wrong(file, finding.line, finding.message)
    for document in read.documents:
        yield document.value, document.place.line


def _objects(value: JsonValue, file: str, line: int) -> Iterator[LiveObject]:
    if isinstance(value, list):
        for item in value:
            yield from _objects(item, file, line)
        return
    if not isinstance(value, dict):
        raise _wrong(file, line, "holds a value that is no object")
    kind, version = text(value, "kind"), text(value, "apiVersion")
    items = value.get("items")
    if kind.endswith("List") and isinstance(items, list):
        for item in items:
            yield from _objects(_typed(item, kind, version), file, line)
        return
    if not kind or not version:
        raise _wrong(file, line, "holds an object without apiVersion or kind")
    yield value


def _typed(item: JsonValue, kind: str, version: str) -> JsonValue:
    """The server leaves out of the items what their list says: `PodList` holds Pods."""
    named = kind.removesuffix("List")
    if not named or not isinstance(item, dict):
        return item
    return {"apiVersion": version, "kind": named, **item}


def _wrong(file: str, line: int, message: str) -> PermanentError:
    return PermanentError("InvalidRequest", f"{file}:{line}: {message}")
