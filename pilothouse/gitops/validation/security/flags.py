"""Flags of the control plane's own programs, where their pods are among the manifests."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from pilothouse.gitops.validation.object_set import Container, ObjectSet
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.security.flag_table import FLAGS, FlagRow
from pilothouse.gitops.validation.shapes import entries, text
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
    item = f"-{row.wanted[1:].partition('=')[0].lower()}" if row.wanted[0] in "+-" else ""
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
        case _ if wanted == "strong":
            return "names strong ciphers only"
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
        case _ if wanted == "strong":
            return not given or all(map(_STRONG.search, given.split(",")))
        case _:
            return bool(given) if wanted == "set" else given is None


_PRACTICES = {
    program: tuple(_practice(program, row) for row in rows) for program, rows in FLAGS.items()
}
EVENT_RATE = Rule(
    "admission-event-rate-limit",
    "warning",
    "The API server's admission plugins do not limit events",
    "Whoever makes enough events makes it slow for everybody, and fills its store.",
    "Add the plugin EventRateLimit.",
    {"checkov": ("CKV_K8S_78",)},
)
RULES = (
    *(practice.rule for practices in _PRACTICES.values() for practice in practices),
    EVENT_RATE,
)
_STRONG = re.compile(r"^TLS_(AES_|CHACHA20_|ECDHE_\w+(_GCM_|_CHACHA20_))")
"""Ciphers of TLS 1.3, and those with forward secrecy and authentication of TLS 1.2."""


def check_flags(objects: ObjectSet) -> Iterator[Finding]:
    """The command lines of the control plane's programs, and its admission plugins."""
    for manifest in objects.manifests:
        if manifest.ref.kind == "AdmissionConfiguration":
            plugins = [text(p.get("name")) for _, p in entries(manifest.body.get("plugins"))]
            if "EventRateLimit" not in plugins:
                told = "the plugins do not include EventRateLimit"
                yield EVENT_RATE.finding(manifest, told, "/plugins")
    for pod in objects.pods:
        for container in pod.containers:
            words = _words(container)
            # Without a command, the first word is an argument of the image's own program.
            if words and words[0].startswith("-"):
                continue
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
