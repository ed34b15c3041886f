"""The values of Kubernetes Secrets, whatever their keys are called: JSON, YAML, or cut off."""

import json
import re
from collections.abc import Callable
from typing import Final

from pydantic import JsonValue

Hide = Callable[[str, str], str]
"""(rule, secret) -> placeholder."""

_RULE: Final = "kubernetes"
_FIELDS: Final = ("data", "stringData")
_MAX_NESTING: Final = 4
_SECRET_KIND: Final = re.compile(
    r"(?m)(?:^[ \t+-]{0,200}|[\"{,\s])kind\\{0,8}[\"']?\s{0,8}:\s{0,8}\\{0,8}[\"']?Secret"
)
_BLOCK: Final = re.compile(r"(?P<indent>[ +-]{0,400})[\"']?(?:data|stringData)[\"']?:(?P<rest>.*)")
_ENTRY: Final = re.compile(r"(?P<lead>[ +-]{0,400}[\"']?[\w.-]{1,253}[\"']?:[ \t]+)(?P<value>\S.*)")
_FLAT_MAP: Final = re.compile(
    r"(\\{0,8}\"(?:data|stringData)\\{0,8}\"\s{0,8}:\s{0,8}\{)([^{}]{1,1000000}+)"
)


def redact_secret_objects(text: str, hide: Hide) -> str:
    """Hide every value below `data` and `stringData` of the Secrets in a text.

    JSON is read as JSON, strings of JSON in it included; anything else line by line as YAML. Where
    a document holds a Secret beside other kinds in YAML, the data of those is hidden as well.
    """
    if not _SECRET_KIND.search(text):
        return text
    parsed = _parse(text)
    if parsed is not None:
        changed = _value(parsed, hide, 0)
        return json.dumps(changed, ensure_ascii=False, indent=2 if "\n" in text else None)
    lined = "\n".join(_lines(text.split("\n"), hide))
    return _FLAT_MAP.sub(lambda match: match[1] + hide(_RULE, match[2]), lined)


def _parse(text: str) -> JsonValue:
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        parsed: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return None  # cut off, or not JSON: the lines are looked at instead
    return parsed


def _value(value: JsonValue, hide: Hide, nesting: int, in_list: bool = False) -> JsonValue:
    if isinstance(value, list):
        return [_value(item, hide, nesting, in_list) for item in value]
    if isinstance(value, str):
        return _inner(value, hide, nesting)
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    secrets = kind == "SecretList"
    is_secret = kind == "Secret" or in_list
    return {
        key: _hidden(item, hide)
        if is_secret and key in _FIELDS
        else _value(item, hide, nesting, secrets and key == "items")
        for key, item in value.items()
    }


def _inner(text: str, hide: Hide, nesting: int) -> str:
    """A string may hold an object again, as the annotation with the last applied one does."""
    if nesting >= _MAX_NESTING or not _SECRET_KIND.search(text):
        return text
    parsed = _parse(text)
    if parsed is None:
        return "\n".join(_lines(text.split("\n"), hide))
    return json.dumps(_value(parsed, hide, nesting + 1), ensure_ascii=False)


def _hidden(value: JsonValue, hide: Hide) -> JsonValue:
    if isinstance(value, dict):
        return {key: _hidden(item, hide) for key, item in value.items()}
    return value if value is None or value == "" else hide(_RULE, str(value))


def _lines(lines: list[str], hide: Hide) -> list[str]:
    """YAML: whole documents, because `kind` may come after `data`."""
    done: list[str] = []
    start = 0
    for end in [*(i for i, line in enumerate(lines) if line.startswith("---")), len(lines)]:
        document = lines[start:end]
        holds = _SECRET_KIND.search("\n".join(document))
        done += _document(document, hide) if holds else document
        start = end
    return done


def _document(lines: list[str], hide: Hide) -> list[str]:
    done: list[str] = []
    block: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip(" +-"))
        if block is not None and line.strip() and indent <= block:
            block = None
        if block is not None and line.strip():
            done.append(_entry(line, indent, hide))
            continue
        opened = _BLOCK.fullmatch(line)
        if opened:
            block = len(opened["indent"])
            rest = opened["rest"].strip()
            if rest and rest not in {"{}", "null", "~"}:
                line = line[: opened.start("rest")] + " " + hide(_RULE, rest)
        done.append(line)
    return done


def _entry(line: str, indent: int, hide: Hide) -> str:
    entry = _ENTRY.fullmatch(line)
    if entry is None:
        key_only = re.fullmatch(r"[ +-]*[\"']?[\w.-]{1,253}[\"']?:\s*", line)
        return line if key_only else line[:indent] + hide(_RULE, line[indent:])
    if re.fullmatch(r"[|>][+-]?\d?", entry["value"].strip()):
        return line
    return entry["lead"] + hide(_RULE, entry["value"])
