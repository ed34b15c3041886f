"""Flags of the control plane's own programs, where their pods are among the manifests."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from pilothouse.gitops.validation.object_set import Container, ObjectSet
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.security.flag_table import FLAGS, FlagRow
from pilothouse.models.findings import Finding

_SHORT = {"kube-apiserver": "apiserver", "kube-controller-manager": "controllers"}


@dataclass(frozen=True, slots=True)
class _Practice:
    flags: tuple[str, ...]
    wanted: str
    rule: Rule


def _practice(program: str, row: FlagRow) -> _Practice:
    flags = tuple(row.flags.split())
    told = f"{' and '.join(f'--{flag}' for flag in flags)} {_in_words(row.wanted, len(flags))}"
    item = f"-{row.wanted[1:].lower()}" if row.wanted[0] in "+-" else ""
    ids = row.ids.split()
    counterparts = {
        "checkov": tuple(name for name in ids if name.startswith("CKV")),
        "kubescape": tuple(name for name in ids if name.startswith("C-")),
    }
    rule = Rule(
        f"{_SHORT.get(program, program.removeprefix('kube-'))}-{flags[0]}{item}",
        "warning",
        f"A {program} runs otherwise than with: {told}",
        row.why,
        f"See to it that {told}.",
        {tool: found for tool, found in counterparts.items() if found},
    )
    return _Practice(flags, row.wanted, rule)


def _in_words(wanted: str, count: int) -> str:
    verb = "is" if count == 1 else "are"
    match wanted[0], wanted.lstrip("+-=!>"):
        case "+", item:
            return f"includes {item}"
        case "-", item:
            return f"leaves out {item}"
        case "!", value:
            return f"is not {value}"
        case ">", number:
            return f"is {number} or more"
        case "=", value:
            return f"is {value}"
        case _:
            return f"{verb} set" if wanted == "set" else f"{verb} not set"


def _is_good(wanted: str, given: str | None) -> bool:
    """Whether the value of a flag is what the table wants; None if the flag is not set."""
    match wanted[0], wanted.lstrip("+-=!>"):
        case "+", item:
            return item in (given or "").split(",")
        case "-", item:
            return item not in (given or "").split(",")
        case "!", value:
            return given != value
        case ">", number:
            return given is not None and given.isdecimal() and int(given) >= int(number)
        case "=", value:
            return given == value
        case _:
            return bool(given) if wanted == "set" else given is None


_PRACTICES = {
    program: tuple(_practice(program, row) for row in rows) for program, rows in FLAGS.items()
}
RULES = tuple(practice.rule for practices in _PRACTICES.values() for practice in practices)


def check_flags(objects: ObjectSet) -> Iterator[Finding]:
    """The command lines of the control plane's programs."""
    for pod in objects.pods:
        for container in pod.containers:
            words = _words(container)
            practices = _PRACTICES.get(words[0].rpartition("/")[2], ()) if words else ()
            values = _values(words) if practices else {}
            for practice in practices:
                bad = [f for f in practice.flags if not _is_good(practice.wanted, values.get(f))]
                if bad:
                    shown = ", ".join(f"--{flag} is {values.get(flag, 'not set')}" for flag in bad)
                    told = f'container "{container.name}": {shown}'
                    yield practice.rule.finding(pod.owner, told, f"{container.path}/command")


def _words(container: Container) -> list[str]:
    """The command line, as far as the manifest gives it."""
    return [
        str(word) for field in ("command", "args") for word in _listed(container.body.get(field))
    ]


def _listed(value: JsonValue | None) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _values(words: list[str]) -> dict[str, str]:
    """Flag without dashes -> its value, `true` for one without."""
    values: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            if not equals:
                value = "true" if following.startswith("--") else following
            values[name] = value
    return values
