"""Credentials in plain text, and ways in which they leak."""

import re
from collections.abc import Iterator

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.places import escape
from pilothouse.gitops.validation.object_set import Container, ObjectSet, PodTemplate
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, mapping, text
from pilothouse.models.findings import Finding

ENV_SECRET = Rule(
    "env-secret",
    "warning",
    "A variable that is called a secret has its value in the manifest",
    "Everybody who can read the repository or the pod knows it.",
    "Put it in a Secret and name that in valueFrom, or better mount it as a file.",
    {
        "kubescape": ("C-0012",),
        "polaris": ("sensitiveContainerEnvVar",),
        "kube-linter": ("env-var-secret",),
    },
)
ENV_CREDENTIAL = Rule(
    "env-credential",
    "warning",
    "A variable seems to hold a credential in plain text",
    "Everybody who can read the repository or the pod knows it.",
    "Put it in a Secret and name that in valueFrom, or better mount it as a file.",
    {"kubescape": ("C-0012",), "polaris": ("sensitiveContainerEnvVar",)},
)
ENV_NAME = Rule(
    "env-sensitive-name",
    "info",
    "A variable's name sounds like a credential's",
    "If its value is one, everybody who can read the repository knows it.",
    "Put it in a Secret if it is a credential.",
    {"kubescape": ("C-0012",)},
)
CONFIG_CREDENTIAL = Rule(
    "configmap-credential",
    "warning",
    "A ConfigMap seems to hold a credential",
    "ConfigMaps are not treated as secret by anybody: roles, logs and backups show them.",
    "Put it in a Secret.",
    {"kubescape": ("C-0012",), "polaris": ("sensitiveConfigmapContent",)},
)
CONFIG_NAME = Rule(
    "configmap-sensitive-name",
    "info",
    "A ConfigMap's key sounds like a credential's",
    "If its value is one, it belongs into a Secret.",
    "Put it in a Secret if it is a credential.",
    {"kubescape": ("C-0012",)},
)
ARGUMENT_CREDENTIAL = Rule(
    "argument-credential",
    "warning",
    "A command line seems to hold a credential",
    "The process list shows it, and so does everybody who can read the repository.",
    "Read it from a file that a Secret is mounted as.",
)
SECRET_IN_ENV = Rule(
    "secret-as-variable",
    "info",
    "A Secret's key becomes an environment variable",
    "Variables are inherited by every child process and end up in crash reports.",
    "Mount the Secret as a file.",
    {
        "kubescape": ("C-0207",),
        "kube-linter": ("read-secret-from-env-var",),
        "checkov": ("CKV_K8S_35",),
    },
)
SECRETS_IN_ENV = Rule(
    "secret-as-variables",
    "info",
    "All keys of a Secret become environment variables",
    "Variables are inherited by every child process and end up in crash reports.",
    "Mount the Secret as a file.",
    {"kubescape": ("C-0207",), "checkov": ("CKV_K8S_35",)},
)
SUDO = Rule(
    "sudo-in-command",
    "warning",
    "A container's command uses sudo",
    "A program that has to become root can be made to do more as root.",
    "Run as the user that is needed, with the one capability that is needed.",
    {"kubescape": ("C-0062",)},
)
RULES = (
    ENV_SECRET,
    ENV_CREDENTIAL,
    ENV_NAME,
    CONFIG_CREDENTIAL,
    CONFIG_NAME,
    ARGUMENT_CREDENTIAL,
    SECRET_IN_ENV,
    SECRETS_IN_ENV,
    SUDO,
)
_NAME = re.compile(
    r"aws_secret_access_key|google_application_credentials|azure_.{0,60}key|oci_cli_key_content"
    r"|passw(or)?d|token|bearer|secret",
    re.IGNORECASE,
)
_DOUBTFUL_NAME = re.compile(
    r"pwd|jwt|credential|aws_access_key_id|azure_batchai_storage_account|azure_batch_account|key",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"-{3,5} ?BEGIN (\w{1,20} ){0,3}PRIVATE KEY|\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[0-9A-Za-z]{36}"
    r"|\bgithub_pat_\w{22,}|\bglpat-[\w-]{20}|\bxox[abprs]-[0-9A-Za-z-]{10,}|\bAIza[\w-]{35}"
    r"|\bsk_live_[0-9A-Za-z]{16,}|\beyJhbGciO[\w-]+\.[\w-]+\.|\bBearer [\w.~+/-]{16,}"
    r"|LS0tLS1CRUdJTi[\w+/]{0,60}UFJJVkFURS|://[^/\s:@{}$]{1,99}:[^/\s:@{}$]{1,99}@"
)
"""What keys, tokens and addresses with a password look like. Every repetition is bounded, so that a
large text costs no more than its length."""
_ARGUMENT = re.compile(
    r"^--?[\w-]*(password|passwd|secret|token|api-?key)=(?P<value>[^$<{/].*)", re.IGNORECASE
)
_REFERENCE = re.compile(r"\$\([\w.-]+\)|\$\{?\w+\}?|\{\{.*\}\}")
_HARMLESS = re.compile(r"true|false|yes|no|on|off|[0-9.]{1,5}|(/[\w.-]+)+/?", re.IGNORECASE)
"""Values that are switches, small numbers or paths, whatever the name says."""


def check_credentials(objects: ObjectSet) -> Iterator[Finding]:
    """Credentials in variables, command lines and ConfigMaps. No finding shows a value."""
    for pod in objects.pods:
        for container in pod.containers:
            yield from _variables(pod, container)
            yield from _arguments(pod, container)
    for manifest in objects.manifests:
        if manifest.ref.kind == "ConfigMap" and manifest.ref.group == "":
            yield from _config_map(manifest)


def _variables(pod: PodTemplate, container: Container) -> Iterator[Finding]:
    for index, variable in entries(container.body.get("env")):
        name, path = text(variable.get("name")), f"{container.path}/env/{index}"
        if at(variable, "valueFrom", "secretKeyRef") is not None:
            told = f"the variable {name} is filled from a Secret"
            yield SECRET_IN_ENV.finding(pod.owner, told, f"{path}/valueFrom/secretKeyRef")
        elif (rule := _judge_variable(name, text(variable.get("value")))) is not None:
            told = f"the variable {name} has its value in the manifest"
            yield rule.finding(pod.owner, told, f"{path}/value")
    for index, source in entries(container.body.get("envFrom")):
        if source.get("secretRef") is not None:
            name = text(at(source, "secretRef", "name"))
            told = f'every key of the Secret "{name}" becomes a variable'
            path = f"{container.path}/envFrom/{index}/secretRef"
            yield SECRETS_IN_ENV.finding(pod.owner, told, path)


def _judge_variable(name: str, value: str) -> Rule | None:
    if not value or _REFERENCE.fullmatch(value):
        return None
    if "secret" in name.lower():
        return ENV_SECRET
    if _NAME.search(name) or _VALUE.search(value):
        return ENV_CREDENTIAL
    if _DOUBTFUL_NAME.search(name) and not _HARMLESS.fullmatch(value):
        return ENV_NAME
    return None


def _arguments(pod: PodTemplate, container: Container) -> Iterator[Finding]:
    for field in ("command", "args"):
        words = container.body.get(field)
        for index, word in enumerate(words if isinstance(words, list) else ()):
            path = f"{container.path}/{field}/{index}"
            if _is_credential(word):
                told = f'the command line of container "{container.name}" holds a credential'
                yield ARGUMENT_CREDENTIAL.finding(pod.owner, told, path)
            if isinstance(word, str) and field == "command" and re.search(r"\bsudo\b", word):
                told = f'container "{container.name}" runs sudo'
                yield SUDO.finding(pod.owner, told, path)


def _is_credential(word: JsonValue) -> bool:
    if not isinstance(word, str) or _REFERENCE.search(word):
        return False
    named = _ARGUMENT.match(word)
    return bool(_VALUE.search(word)) or bool(named and not _HARMLESS.fullmatch(named["value"]))


def _config_map(manifest: LoadedManifest) -> Iterator[Finding]:
    for key, content in mapping(manifest.body.get("data")).items():
        value = text(content)
        if not value:
            continue
        path = f"/data/{escape(key)}"
        if _VALUE.search(value) or (_NAME.search(key) and not _REFERENCE.fullmatch(value)):
            told = f'the key "{key}" seems to hold a credential'
            yield CONFIG_CREDENTIAL.finding(manifest, told, path)
        elif _DOUBTFUL_NAME.search(key) and not _HARMLESS.fullmatch(value):
            told = f'the key "{key}" sounds like a credential'
            yield CONFIG_NAME.finding(manifest, told, path)
