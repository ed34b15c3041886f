"""workspace serve, workspace key create|list|revoke: the MCP server and its keys."""

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pilothouse.cli.console import WRONG_USE, Output, clear_errors, fail, print_json, say

if TYPE_CHECKING:
    from pilothouse.clients.settings import Settings
    from pilothouse.workspace.configuration import WorkspaceConfiguration
    from pilothouse.workspace.keys import ApiKey

app = typer.Typer(
    help="The workspace MCP server, and the API keys that open it.", no_args_is_help=True
)
key_app = typer.Typer(help="API keys of the workspace server.", no_args_is_help=True)
app.add_typer(key_app, name="key")

Workspaces = Annotated[
    Path, typer.Option(help="YAML or JSON: {workspaces: {ws-name: {url, environments, ...}}}.")
]
Transport = Literal["streamable-http", "sse", "stdio"]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]


@app.command()
def serve(
    workspaces: Workspaces,
    transport: Annotated[
        Transport, typer.Option(help="streamable-http, sse for old clients, or stdio.")
    ] = "streamable-http",
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8430,
    allowed_host: Annotated[
        list[str], typer.Option(help="A Host header that is answered, as name:port; repeatable.")
    ] = [],  # noqa: B006
    allowed_origin: Annotated[
        list[str], typer.Option(help="A browser's Origin that is answered; repeatable.")
    ] = [],  # noqa: B006
) -> None:
    """Serve workspaces to MCP clients: ours, and anyone's.

    Example: pilothouse workspace serve --workspaces workspaces.yaml
    """
    from pilothouse.clients.logging import configure_logging

    with clear_errors():
        settings, configuration = _configuration(workspaces)
        hosts = {"allowed_hosts": tuple(allowed_host)} if allowed_host else {}
        configuration = configuration.model_copy(
            update={"host": host, "port": port, "allowed_origins": tuple(allowed_origin), **hosts}
        )
        configure_logging(
            settings.log_level,
            json=settings.log_format == "json",
            secrets=_secrets(settings, configuration),
        )
        # The SDK logs what a refused call was told, with its paths; our audit line leaves them out.
        logging.getLogger("mcp").setLevel(logging.WARNING)
        _serve(configuration, settings, transport)


def _serve(
    configuration: "WorkspaceConfiguration", settings: "Settings", transport: Transport
) -> None:
    from pilothouse.cli.connection import connection_here
    from pilothouse.workspace.service import serve_http, serve_stdio

    credentials, temporal = settings.git_credentials, connection_here()
    if transport != "stdio":
        serving = serve_http(
            configuration, transport, git_credentials=credentials, temporal=temporal
        )
    elif settings.workspace_key is None:
        fail("stdio needs the caller's key in PILOTHOUSE_WORKSPACE_KEY", WRONG_USE)
    else:
        serving = serve_stdio(
            configuration, settings.workspace_key, git_credentials=credentials, temporal=temporal
        )
    asyncio.run(serving)


@key_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key: the author of the commits it makes.")],
    workspaces: Workspaces,
    workspace: Annotated[str, typer.Option(help="The one workspace that it opens.")],
    scope: Annotated[list[str], typer.Option(help="What it may do, e.g. files:read; repeatable.")],
    tool: Annotated[
        list[str], typer.Option(help="Narrow the scopes to these tools; repeatable.")
    ] = [],  # noqa: B006
    folder: Annotated[
        list[str], typer.Option(help="Where files:write may write; default: status/.")
    ] = [],  # noqa: B006
    environment: Annotated[
        str, typer.Option(help="The environment of its locks and commands.")
    ] = "",
    days: Annotated[int, typer.Option(min=1, max=366, help="Days until it expires.")] = 90,
    output: OutputOption = Output.text,
) -> None:
    """Make a key and show it, once.

    Example: pilothouse workspace key create reviewer --workspaces workspaces.yaml
    --workspace ws-model-api --scope files:read --scope files:write
    """
    from datetime import timedelta

    from pilothouse.workspace.keys import KeyRing

    with clear_errors():
        _, configuration = _configuration(workspaces)
        declared = configuration.workspaces.get(workspace)
        if declared is None:
            fail(f"{workspaces} declares no workspace {workspace!r}", WRONG_USE)
        if environment and environment not in declared.environments:
            fail(f"{workspace} declares no environment {environment!r}", WRONG_USE)
        made = KeyRing(configuration.keys_file).create(
            name=name,
            workspace=workspace,
            scopes=tuple(scope),
            tools=tuple(tool),
            folders=tuple(folder) or ("status/",),
            environment=environment,
            lifetime=timedelta(days=days),
        )
    if output is Output.json:
        print_json({**_shown(made.key), "key": made.token})
        return
    say(f"{made.key.id} for {workspace}, until {made.key.expires:%Y-%m-%d}. Its key, shown once:")
    say(made.token)


@key_app.command("list")
def list_keys(workspaces: Workspaces, output: OutputOption = Output.text) -> None:
    """List the keys; what a key itself was is not known.

    Example: pilothouse workspace key list --workspaces workspaces.yaml
    """
    from pilothouse.workspace.keys import KeyRing

    with clear_errors():
        _, configuration = _configuration(workspaces)
        keys = KeyRing(configuration.keys_file).all()
    if output is Output.json:
        print_json([_shown(key) for key in keys])
        return
    for key in keys:
        bound = f" {key.environment}" if key.environment else ""
        scopes = ", ".join(key.scopes)
        say(f"{key.id}  {_state(key)}  {key.workspace}{bound}  {key.name}: {scopes}")


@key_app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, as `list` shows it.")],
    workspaces: Workspaces,
) -> None:
    """End a key: the next call with it is refused, also within a session; its locks are given back.

    Example: pilothouse workspace key revoke k4f2a90c1d3b7 --workspaces workspaces.yaml
    """
    from pilothouse.models.errors import TemporaryError
    from pilothouse.workspace.keys import KeyRing

    with clear_errors():
        _, configuration = _configuration(workspaces)
        ended = KeyRing(configuration.keys_file).revoke(key)
        say(f"{key} is revoked")
        workspace = configuration.workspaces.get(ended.workspace)
        if workspace is None:
            return
        try:
            leases = asyncio.run(_release_all(workspace.repository.slug, key))
        except TemporaryError as error:
            say(f"its locks, if it has any, end when their time is up: {error}")
            return
    for lease in leases:
        say(f"{lease} is given back")


async def _release_all(slug: str, key: str) -> tuple[str, ...]:
    from pilothouse.cli.connection import connect_here
    from pilothouse.clients.temporal.requests import WorkspaceRequests

    return await WorkspaceRequests(await connect_here()).release_all(slug, key)


def _configuration(path: Path) -> "tuple[Settings, WorkspaceConfiguration]":
    from pilothouse.clients.settings import read_settings
    from pilothouse.workspace.configuration import load_workspaces

    settings = read_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return settings, load_workspaces(path, data_dir=settings.data_dir)


def _secrets(settings: "Settings", configuration: "WorkspaceConfiguration") -> list[str]:
    """What must not stand in a log, wherever it came from."""
    held = [*settings.git_credentials.values(), settings.workspace_key]
    held += [workspace.webhook_secret for workspace in configuration.workspaces.values()]
    return [secret.get_secret_value() for secret in held if secret is not None]


def _shown(key: "ApiKey") -> dict[str, object]:
    return {**key.model_dump(mode="json", exclude={"digest"}), "state": _state(key)}


def _state(key: "ApiKey") -> str:
    if key.revoked is not None:
        return "revoked"
    return "live" if key.is_live(datetime.now(UTC)) else "expired"
