"""Reads the tree: what the code registers, calls and raises, without running it.

The only place that uses the SDK's private `_Definition`.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from temporalio import activity, workflow

from workflows import options
from workflows.options import Profile

ROOT = Path(__file__).parents[2]
OURS = ("activities", "pilothouse", "workflows")


@dataclass(frozen=True)
class Handler:
    """One signal, query or update of a workflow."""

    name: str
    takes: tuple[type, ...]
    described: bool


@dataclass(frozen=True)
class Registered:
    """What one workflow class offers."""

    name: str
    signals: tuple[Handler, ...]
    queries: tuple[Handler, ...]
    updates: tuple[Handler, ...]


def registered(cls: type) -> Registered:
    """What a workflow class registers; dynamic handlers are left out."""
    definition = workflow._Definition.must_from_class(cls)
    return Registered(
        name=definition.name or "",
        signals=_handlers(definition.signals),
        queries=_handlers(definition.queries),
        updates=_handlers(definition.updates),
    )


def _handlers(handlers: Mapping[str | None, Any]) -> tuple[Handler, ...]:
    return tuple(
        Handler(name, tuple(handler.arg_types or ()), bool(handler.description))
        for name, handler in handlers.items()
        if name is not None
    )


def activity_of(function: Callable[..., object]) -> tuple[str, list[type], type | None]:
    """An activity's wire name, what it takes and what it gives."""
    definition = activity._Definition.must_from_callable(function)
    return definition.name or "", list(definition.arg_types or ()), definition.ret_type


@dataclass(frozen=True)
class Call:
    """One activity that workflow code calls, and the queue that its profile names."""

    where: str
    activity: str
    queue: str


def activity_calls() -> Iterator[Call]:
    """Each `options.PROFILE(SomeActivities.method, ...)` of the workflow code."""
    for path, tree in _trees("workflows"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (profile := _profile(node.func)) is not None:
                owner, _, name = ast.unparse(node.args[0]).partition(".")
                function = getattr(getattr(_module(path), owner), name)
                yield Call(
                    where=f"{path.name}:{node.lineno}",
                    activity=activity_of(function)[0],
                    queue=str(profile.config["task_queue"]),
                )


def _profile(called: ast.expr) -> Profile | None:
    """The profile that is called: `options.GIT`, or what `options.watching(...)` makes."""
    made = isinstance(called, ast.Call)
    name = called.func if isinstance(called, ast.Call) else called
    if not (isinstance(name, ast.Attribute) and ast.unparse(name.value) == "options"):
        return None
    found = getattr(options, name.attr)
    profile = found(timedelta(minutes=1)) if made else found
    return profile if isinstance(profile, Profile) else None


def mentions_of_activities() -> list[str]:
    """Each `SomeActivities.method` that workflow code mentions, called or not."""
    return [
        f"{path.name}:{node.lineno}"
        for path, tree in _trees("workflows")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id.endswith("Activities")
    ]


def calls_of(attribute: str) -> set[str]:
    """The workflow files that mention an attribute, e.g. `execute_activity_method`."""
    return {
        path.name
        for path, tree in _trees("workflows")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == attribute
    }


def _module(path: Path) -> ModuleType:
    return import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


ERRORS = ("PermanentError", "TemporaryError", "ApplicationError")


def raised_types() -> dict[str, set[str]]:
    """Wire type -> where an error of that type is made."""
    found: dict[str, set[str]] = {}
    for path, tree in _trees(*OURS):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ERRORS:
                for kind in _literals(_type_argument(node)):
                    found.setdefault(kind, set()).add(f"{path.name}:{node.lineno}")
    return found


def _type_argument(call: ast.Call) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == "type":
            return keyword.value
    ours = ast.unparse(call.func) != "ApplicationError"
    return call.args[0] if ours and call.args else None


def _literals(expression: ast.expr | None) -> Iterator[str]:
    for node in ast.walk(expression) if expression is not None else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def module_sizes() -> dict[str, int]:
    """File -> lines, of the product."""
    return {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in _files(*OURS)
    }


def _trees(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in _files(*folders):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def _files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))
    if len(folders) > 1:
        yield ROOT / "worker.py"
