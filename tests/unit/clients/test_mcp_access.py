"""The pipeline file gets no credential and no program that the worker did not list."""

import pytest
from pydantic import SecretStr

from pilothouse.clients.mcp.credentials import McpAccess, workspace_server
from pilothouse.clients.settings import McpToken, Settings
from pilothouse.models.errors import PermanentError
from pilothouse.models.pipeline import McpServer

SECRET = "canary-4f9b1c"
ACCESS = McpAccess(
    {
        "web": McpToken(value=SecretStr(SECRET), origin="https://mcp.example.org"),
        "program": McpToken(value=SecretStr(SECRET), variable="SERVER_TOKEN"),
    },
    [("server", "--stdio")],
)


@pytest.mark.parametrize(
    "url", ["https://mcp.example.org/mcp", "https://MCP.example.org:443/other?x=1"]
)
def test_a_credential_goes_to_its_origin(url: str) -> None:
    headers = ACCESS.headers("s", McpServer(url=url, token="web"))
    assert headers == {"Authorization": f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.example.org/mcp",
        "https://mcp.example.org:8443/mcp",
        "https://mcp.example.org.evil.example/mcp",
        "https://evil.example/mcp.example.org",
        "https://mcp.example.org@evil.example/mcp",
        "https://evil.example\\@mcp.example.org/",
        "file:///etc/passwd",
        "https://[::1/mcp",
        "",
    ],
)
def test_a_credential_goes_nowhere_else(url: str) -> None:
    with pytest.raises(PermanentError) as refused:
        ACCESS.headers("s", McpServer(url=url, token="web"))
    assert refused.value.type == "ToolRefused"
    assert SECRET not in str(refused.value)


def test_a_credential_for_programs_is_not_sent_over_http() -> None:
    with pytest.raises(PermanentError, match="bind it"):
        ACCESS.headers("s", McpServer(url="https://mcp.example.org/", token="program"))


def test_an_unknown_credential_is_named_with_the_setting() -> None:
    with pytest.raises(PermanentError, match="PILOTHOUSE_MCP_TOKENS"):
        ACCESS.headers("s", McpServer(url="https://mcp.example.org/", token="other"))


@pytest.mark.parametrize(
    "command", [(), ("server",), ("server", "--stdio", "--x"), ("sh", "-c", "server --stdio")]
)
def test_only_a_listed_command_runs_word_for_word(command: tuple[str, ...]) -> None:
    with pytest.raises(PermanentError, match="PILOTHOUSE_MCP_COMMANDS"):
        ACCESS.variables("s", McpServer(transport="stdio", command=command))


def test_a_program_gets_its_credential_in_its_variable() -> None:
    server = McpServer(transport="stdio", command=("server", "--stdio"), token="program")
    assert ACCESS.variables("s", server) == {"SERVER_TOKEN": SECRET}
    with pytest.raises(PermanentError, match="variable"):
        ACCESS.variables("s", server.model_copy(update={"token": "web"}))


def test_the_settings_take_both_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_MCP_COMMANDS", '[["server", "--stdio"]]')
    monkeypatch.setenv(
        "PILOTHOUSE_MCP_TOKENS", '{"web": {"value": "x-secret", "origin": "https://h"}}'
    )
    access = McpAccess.from_settings(Settings())
    assert access.secrets == ("x-secret",)
    assert access.headers("s", McpServer(url="https://h/mcp", token="web"))
    assert "x-secret" not in repr(Settings())


def test_our_own_workspace_server_is_where_the_settings_say_and_its_key_goes_there_only() -> None:
    settings = Settings(
        workspace_url="https://workspace.example.org/mcp",
        mcp_tokens={
            "workspace": McpToken(value=SecretStr(SECRET), origin="https://workspace.example.org")
        },
    )
    ours = workspace_server(settings)
    assert ours is not None
    access = McpAccess.from_settings(settings)
    assert access.headers("workspace", ours) == {"Authorization": f"Bearer {SECRET}"}
    moved = ours.model_copy(update={"url": "https://evil.example/mcp"})
    with pytest.raises(PermanentError):
        access.headers("workspace", moved)


def test_without_an_address_there_is_no_workspace_server() -> None:
    assert workspace_server(Settings()) is None
