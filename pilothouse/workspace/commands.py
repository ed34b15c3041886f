"""What `exec_shell` understands: a closed list of commands, parsed into values, never run as text.

The words of the caller become typed fields, each matched as a whole; the argument vector is built
from those, with the environment's own namespace. Nothing else of the command survives.
"""

import re
import shlex
from argparse import ArgumentError, ArgumentParser
from typing import Final, NoReturn

from pilothouse.models.base import Contract
from pilothouse.models.errors import PermanentError

MAX_COMMAND: Final = 1000
MAX_TAIL: Final = 1000
POSSIBLE: Final = (
    "kubectl logs -l app=NAME [-c CONTAINER] [--tail N] [--since 10m] [--previous]",
    "kubectl logs POD [-c CONTAINER] [--tail N] [--since 10m] [--previous]",
    "kubectl get KIND [NAME] [-l app=NAME] [-o wide|name]",
    "kubectl apply -f manifests/",
)
KINDS: Final = {
    name: kind
    for kind, names in {
        "configmaps": "configmap configmaps cm",
        "cronjobs": "cronjob cronjobs cj",
        "daemonsets": "daemonset daemonsets ds",
        "deployments": "deployment deployments deploy",
        "endpointslices": "endpointslice endpointslices",
        "events": "event events ev",
        "horizontalpodautoscalers": "horizontalpodautoscaler horizontalpodautoscalers hpa",
        "ingresses": "ingress ingresses ing",
        "jobs": "job jobs",
        "networkpolicies": "networkpolicy networkpolicies netpol",
        "persistentvolumeclaims": "persistentvolumeclaim persistentvolumeclaims pvc",
        "poddisruptionbudgets": "poddisruptionbudget poddisruptionbudgets pdb",
        "pods": "pod pods po",
        "replicasets": "replicaset replicasets rs",
        "services": "service services svc",
        "statefulsets": "statefulset statefulsets sts",
    }.items()
    for name in names.split()
}
"""What may be listed, as tables only: these show no values. Secrets are not among them."""
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?"
_SELECTOR: Final = re.compile(rf"{_LABEL}=({_LABEL})?(,{_LABEL}=({_LABEL})?){{0,4}}")
_SINCE: Final = re.compile(r"[0-9]{1,4}[smh]")


class ReadCommand(Contract):
    """A look at the environment's namespace."""

    verb: str
    arguments: tuple[str, ...]
    """Of kubectl, after the verb; every value is bound to its option by `=`."""


class ApplyCommand(Contract):
    """A wish to deploy: it becomes a request, and nothing is applied from here."""


def parse_command(command: str, namespace: str) -> ReadCommand | ApplyCommand:
    """Match a command against what is possible.

    Args:
        command: one line, split as a shell would split it.
        namespace: the environment's; `-n` may name it and no other.

    Raises:
        PermanentError: `ToolRefused`, with the list of what is possible.
    """
    if len(command) > MAX_COMMAND or not command.isascii() or not command.isprintable():
        raise _refused("it is too long, or holds control characters")
    try:
        words = shlex.split(command)
    except ValueError:
        raise _refused("its quotes do not match") from None
    if words[:1] != ["kubectl"]:
        raise _refused("there is no shell here, and kubectl is the only program")
    match words[1:2]:
        case ["logs"]:
            return _logs(words[2:], namespace)
        case ["get"]:
            return _get(words[2:], namespace)
        case ["apply"]:
            return _apply(words[2:], namespace)
    raise _refused("only logs, get and apply are known")


class _Parser(ArgumentParser):
    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False, exit_on_error=False)
        self.add_argument("-n", "--namespace")

    def error(self, message: str) -> NoReturn:
        raise _refused(message)


def _parsed(parser: _Parser, words: list[str], namespace: str) -> dict[str, str | bool | None]:
    try:
        options = vars(parser.parse_args(words))
    except ArgumentError as error:
        raise _refused(f"{error.argument_name or 'an argument'} is not understood") from None
    if options.pop("namespace") not in {None, namespace}:
        raise _refused("this environment has one namespace, and another was named")
    return options


def _logs(words: list[str], namespace: str) -> ReadCommand:
    parser = _Parser()
    parser.add_argument("-l", "--selector")
    parser.add_argument("-c", "--container")
    parser.add_argument("--tail", default="100")
    parser.add_argument("--since")
    parser.add_argument("-p", "--previous", action="store_true")
    parser.add_argument("name", nargs="?")
    options = _parsed(parser, words, namespace)
    name, selector = options["name"], options["selector"]
    if bool(name) == bool(selector):
        raise _refused("name either one pod or a selector such as -l app=model-api")
    tail = str(options["tail"])
    if not re.fullmatch(r"[0-9]{1,5}", tail) or int(tail) > MAX_TAIL:
        raise _refused(f"--tail takes a number up to {MAX_TAIL}")
    arguments = [f"--tail={int(tail)}"]
    arguments += _option("selector", selector, _SELECTOR)
    arguments += _option("container", options["container"], _NAME)
    arguments += _option("since", options["since"], _SINCE)
    arguments += ["--previous"] if options["previous"] else []
    if name:
        arguments.append(_whole("the pod's name", str(name), _NAME))
    return ReadCommand(verb="logs", arguments=tuple(arguments))


def _get(words: list[str], namespace: str) -> ReadCommand:
    parser = _Parser()
    parser.add_argument("-l", "--selector")
    parser.add_argument("-o", "--output", choices=("wide", "name"))
    parser.add_argument("kind")
    parser.add_argument("name", nargs="?")
    options = _parsed(parser, words, namespace)
    kind, _, slashed = str(options["kind"]).partition("/")
    if kind.lower() not in KINDS:
        raise _refused(
            f"this kind may not be read; these may: {', '.join(sorted({*KINDS.values()}))}"
        )
    arguments = _option("selector", options["selector"], _SELECTOR)
    arguments += [f"--output={options['output']}"] if options["output"] else []
    arguments.append(KINDS[kind.lower()])
    name = options["name"] or slashed
    if name:
        arguments.append(_whole("the name", str(name), _NAME))
    return ReadCommand(verb="get", arguments=tuple(arguments))


def _apply(words: list[str], namespace: str) -> ApplyCommand:
    parser = _Parser()
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("-f", "--filename")
    group.add_argument("-k", "--kustomize")
    options = _parsed(parser, words, namespace)
    folder = str(options["filename"] or options["kustomize"]).strip("/").removeprefix("./")
    if folder != "manifests":
        raise _refused("the whole of manifests/ is deployed, as it stands in Git; no other folder")
    return ApplyCommand()


def _option(name: str, value: str | bool | None, allowed: re.Pattern[str]) -> list[str]:
    return [f"--{name}={_whole(f'--{name}', str(value), allowed)}"] if value else []


def _whole(what: str, value: str, allowed: re.Pattern[str]) -> str:
    if not allowed.fullmatch(value):
        raise _refused(f"{what} holds what none of its kind does")
    return value


def _refused(why: str) -> PermanentError:
    return PermanentError(
        "ToolRefused", f"the command is refused: {why}. Possible are: {'; '.join(POSSIBLE)}"
    )
