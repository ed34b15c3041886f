"""The short form of the pipeline file, written out in full."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final, NamedTuple

from pilothouse.gitops.pipelines.problems import Problem
from pilothouse.gitops.triggers import ROLE_EVENTS
from pilothouse.models.pipeline import Agent, Environment, Pipeline, Role
from pilothouse.models.short_form import ACTION, ShortForm

_ACTION: Final = re.compile(ACTION)
_ROLES: Final[dict[str, Role]] = {"validate": "validator", "test": "tester", "monitor": "monitor"}
_DEPLOY: Final = "deploy_to_"
_KNOWN: Final = "`validate`, `test`, `deploy_to_<environment>`, `monitor`"
_ROOT: Final = "/workflow"


class Expanded(NamedTuple):
    """A short form in full."""

    pipeline: Pipeline | None
    """None if it has problems."""
    problems: list[Problem]
    moved: dict[str, str]
    """Pointer into the full form -> pointer into the short one."""


def expand(short: ShortForm) -> Expanded:
    """Write a short form out: an agent for each role, an environment for each deployment.

    Each action begins with the good end of the one before it. Deployments that follow one another
    are one agent's: it promotes the revision from one environment to the next.
    """
    problems = list(_problems(short))
    if problems:
        return Expanded(None, problems, {})
    agents: dict[str, Agent] = {}
    environments: dict[str, Environment] = {}
    moved = {"/pipeline": _ROOT, "/pipeline/agents": f"{_ROOT}/actions"}
    trigger: tuple[str, ...] = short.triggers
    for index, action in enumerate(short.actions):
        pointer = f"{_ROOT}/actions/{index}"
        role = _role(action)
        if role not in agents:
            agents[role] = Agent(trigger=trigger)
            moved[f"/pipeline/agents/{role}"] = pointer
            if len(agents) == 1:
                moved[f"/pipeline/agents/{role}/trigger"] = f"{_ROOT}/trigger"
        if role == "deployer":
            name = action.removeprefix(_DEPLOY)
            before = next(reversed(environments), None)
            environments[name] = Environment(namespace=name.replace("_", "-"), after=before)
            moved[f"/pipeline/environments/{name}"] = pointer
        trigger = (f"status.{ROLE_EVENTS[role][0]}",)
    return Expanded(Pipeline(agents=agents, environments=environments), [], moved)


def _role(action: str) -> Role:
    """The role of an action that is one."""
    return "deployer" if action.startswith(_DEPLOY) else _ROLES[action.partition("_")[0]]


def _problems(short: ShortForm) -> Iterator[Problem]:
    roles: list[Role] = []
    for index, action in enumerate(short.actions):
        pointer = f"{_ROOT}/actions/{index}"
        if not _ACTION.fullmatch(action):
            yield _unknown(pointer, action)
            continue
        role = _role(action)
        if action in short.actions[:index]:
            yield Problem(pointer, f"{action} stands here a second time", "Remove one of the two.")
        elif role in roles and role != "deployer":
            yield Problem(
                pointer,
                f"{action} is a second action of the {role}, who has one turn in a run",
                "Make it one action, or write the full form with an agent of a name of its own.",
            )
        elif role in roles and roles[-1] != role:
            yield Problem(
                pointer,
                f"{roles[-1]} would have its turn between two deployments, which are one stage",
                f"Put {action} right after the deployment before it.",
            )
        roles.append(role)


def _unknown(pointer: str, action: str) -> Problem:
    verbs = [*_ROLES, "deploy_to"]
    word = action if action.startswith("deploy") else re.split("[_-]", action)[0]
    close = get_close_matches(word, [*verbs, "deploy"], n=1)
    hint = ""
    if action.startswith("deploy") or close in (["deploy_to"], ["deploy"]):
        hint = " (did you mean deploy_to_<environment>?)"
    elif close:
        hint = f" (did you mean {close[0]}?)"
    return Problem(pointer, f"{action[:80]!r} is no action{hint}", f"Use one of {_KNOWN}.")
