"""What the worker's settings let the pipeline file's servers have.

The pipeline file says where a server is; only the worker's own settings say which credential goes
there and which program may run. Whoever may push to the repository can thus neither send a
credential elsewhere nor start a program.
"""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from pilothouse.clients.settings import McpToken, Settings
from pilothouse.models.errors import PermanentError
from pilothouse.models.pipeline import McpServer
from pilothouse.models.workspace import WORKSPACE_SERVER, WORKSPACE_TOOLS

_PORTS: Final = {"http": 80, "https": 443}


class McpAccess:
    """Credentials by name, bound to where they may go, and the programs that may run."""

    def __init__(
        self, tokens: Mapping[str, McpToken] | None = None, commands: Iterable[tuple[str, ...]] = ()
    ) -> None:
        self._tokens = dict(tokens or {})
        self._commands = frozenset(commands)

    @classmethod
    def from_settings(cls, settings: Settings) -> "McpAccess":
        """What this worker has."""
        return cls(settings.mcp_tokens, settings.mcp_commands)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values, for redactors."""
        return tuple(token.value.get_secret_value() for token in self._tokens.values())

    def headers(self, name: str, server: McpServer) -> dict[str, str]:
        """The HTTP headers for a server.

        Raises:
            PermanentError: `ToolRefused`, no such credential, or it is for another place.
        """
        origin = _origin(name, server.url)
        if not server.token:
            return {}
        token = self._token(name, server.token)
        if not token.origin or _origin(name, token.origin) != origin:
            raise PermanentError(
                "ToolRefused",
                f"the credential {server.token!r} is not for {origin}, where the MCP server "
                f"{name!r} is: the worker's PILOTHOUSE_MCP_TOKENS bind it to its `origin`",
            )
        return {"Authorization": f"Bearer {token.value.get_secret_value()}"}

    def variables(self, name: str, server: McpServer) -> dict[str, str]:
        """The environment variables for a server's program, besides PATH, HOME and the like.

        Raises:
            PermanentError: `ToolRefused`, the program may not run, or the credential is not for it.
        """
        if not server.command or server.command not in self._commands:
            raise PermanentError(
                "ToolRefused",
                f"the worker may not run the command of the MCP server {name!r}: whoever runs the "
                "worker has to list it, word for word, in PILOTHOUSE_MCP_COMMANDS",
            )
        if not server.token:
            return {}
        token = self._token(name, server.token)
        if not token.variable:
            raise PermanentError(
                "ToolRefused",
                f"the credential {server.token!r} names no `variable`, so the program of the MCP "
                f"server {name!r} cannot have it",
            )
        return {token.variable: token.value.get_secret_value()}

    def _token(self, name: str, token: str) -> McpToken:
        known = self._tokens.get(token)
        if known is None:
            raise PermanentError(
                "ToolRefused",
                f"the worker has no credential {token!r} for the MCP server {name!r}: set it in "
                "PILOTHOUSE_MCP_TOKENS",
            )
        return known


def workspace_server(settings: Settings) -> McpServer | None:
    """Our own workspace server, as agents reach it without a word of Git; none: it has no address.

    Only settings say where it is: the credential `workspace` is bound to its origin like any other.
    """
    if not settings.workspace_url:
        return None
    return McpServer(
        url=settings.workspace_url, token=WORKSPACE_SERVER, tools=dict(WORKSPACE_TOOLS)
    )


def _origin(name: str, url: str) -> str:
    """Scheme, host and port of a URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username or parts.password:
        raise PermanentError(
            "ToolRefused",
            f"the MCP server {name!r} needs an http or https `url` without user or password",
        )
    return f"{parts.scheme}://{parts.hostname}:{port}"
