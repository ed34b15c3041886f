"""The environment of every git process: no system or user configuration, no prompt, no hook."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from pilothouse.clients.git.border import LOOPBACK_HOSTS
from pilothouse.models.errors import PermanentError

PROTOCOLS = frozenset({"https", "http", "ssh"})
"""What Git may speak; plain http is for loopback, which the border checks."""

# GitPython passes our own environment on, so whatever could change what Git does is set here and
# not merely left out; an empty value means "none" to Git in each case.
_VARIABLES = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_PARAMETERS": "",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NAMESPACE": "",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_TRACE": "0",
    "GIT_TRACE_CURL": "0",
    "GIT_TRACE_PACKET": "0",
    "GIT_TRACE2": "0",
    "GIT_TRACE2_EVENT": "0",
    "GIT_PROXY_COMMAND": "",
    # No master connection: it would outlive the command and keep our pipes open.
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oClearAllForwardings=yes"
    " -oPermitLocalCommand=no -oControlMaster=no -oControlPath=none",
    "GIT_SSH_VARIANT": "ssh",
}

_CONFIGURATION = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("http.followRedirects", "false"),
    ("http.cookieFile", ""),
    ("protocol.allow", "never"),
    ("protocol.ext.allow", "never"),
    ("protocol.file.allow", "never"),
    ("protocol.https.allow", "always"),
    ("protocol.http.allow", "always"),
    ("protocol.ssh.allow", "always"),
    ("protocol.version", "2"),
    ("transfer.fsckObjects", "true"),
    # A pack appears whole or not at all; loose objects of a killed fetch would look like success.
    ("transfer.unpackLimit", "1"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.gpgSign", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)


class Credentials:
    """Host -> value of the HTTP Authorization header; sent to that host only.

    Args:
        by_host: `host` or `host:port`, in lower case; the more exact one wins.

    Raises:
        PermanentError: `InvalidRequest`, a value could not stand in a header.
    """

    def __init__(self, by_host: Mapping[str, SecretStr]) -> None:
        for host, secret in by_host.items():
            value = secret.get_secret_value()
            if not value or not value.isascii() or not value.isprintable():
                raise PermanentError(
                    "InvalidRequest",
                    f"the Git credential of {host!r} is not the value of an Authorization header, "
                    "such as 'Basic dXNlcjp0b2tlbg=='",
                )
        self._by_host = {host.lower(): secret for host, secret in by_host.items()}

    def header(self, url: str) -> SecretStr | None:
        """Return what to send to a URL's host, if anything."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        return self._by_host.get(f"{host}:{parts.port}") or self._by_host.get(host)

    def words(self) -> tuple[str, ...]:
        """Everything that must not appear in a message, longest first."""
        values = {secret.get_secret_value() for secret in self._by_host.values()}
        tokens = {value.split()[-1] for value in values}
        return tuple(sorted(values | tokens, key=len, reverse=True))


def local_environment(mirror: Path) -> dict[str, str]:
    """The environment of a git process that stays on this machine."""
    return _environment(mirror, "none", ())


def network_environment(mirror: Path, url: str, credentials: Credentials) -> dict[str, str]:
    """The environment of a git process that talks to one URL, and may talk to nothing else."""
    parts = urlsplit(url)
    more: list[tuple[str, str]] = []
    if parts.hostname in LOOPBACK_HOSTS:
        more.append(("http.proxy", ""))
    secret = credentials.header(url)
    if secret is not None and parts.scheme in {"http", "https"}:
        header = f"Authorization: {secret.get_secret_value()}"
        more.append((f"http.{parts.scheme}://{parts.netloc}/.extraHeader", header))
    # From our list, never from the URL alone: this variable outranks every `protocol.*` setting.
    return _environment(mirror, parts.scheme if parts.scheme in PROTOCOLS else "none", more)


def _environment(
    mirror: Path, protocols: str, more: list[tuple[str, str]] | tuple[()]
) -> dict[str, str]:
    configuration = (*_CONFIGURATION, *more)
    variables = {
        **_VARIABLES,
        "GIT_DIR": str(mirror),
        "GIT_OBJECT_DIRECTORY": str(mirror / "objects"),
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_CONFIG_COUNT": str(len(configuration)),
    }
    for index, (key, value) in enumerate(configuration):
        variables[f"GIT_CONFIG_KEY_{index}"] = key
        variables[f"GIT_CONFIG_VALUE_{index}"] = value
    return variables
