"""The tools that the pipeline file gives to agents, as far as the file itself tells."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final
from urllib.parse import urlsplit

from pilothouse.gitops.agents.naming import named_tools
from pilothouse.gitops.pipelines.problems import Problem
from pilothouse.models.pipeline import McpServer, Pipeline
from pilothouse.models.workspace import WORKSPACE_SERVER, WORKSPACE_TOOLS

_PIN: Final = re.compile(r"sha256:[0-9a-f]{64}")


def tool_problems(pipeline: Pipeline) -> Iterator[Problem]:
    """Servers that cannot be reached as declared, and tools that no agent can ever call."""
    for name, server in pipeline.mcp_servers.items():
        yield from _server(f"/pipeline/mcp_servers/{name}", server)
    for name, agent in pipeline.agents.items():
        for index, entry in enumerate(agent.mcp_tools):
            pointer = f"/pipeline/agents/{name}/mcp_tools/{index}"
            yield from _entry(pointer, entry, pipeline.mcp_servers)


def _entry(pointer: str, entry: str, servers: Mapping[str, McpServer]) -> Iterator[Problem]:
    found = named_tools(entry, servers)
    if len(found) == 1:
        return
    if found:
        names = [tool.server for tool in found]
        yield Problem(
            pointer,
            f"{entry} is ambiguous: {' and '.join(names)} each have it",
            f"Write {names[0]}/{entry} or {names[1]}/{entry}.",
        )
        return
    of, slash, tool = entry.partition("/")
    known = {*servers, WORKSPACE_SERVER}
    if slash and of not in known:
        close = get_close_matches(of, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        message = f"{entry} names the server {of[:80]!r}, which is not declared{hint}"
        yield Problem(pointer, message, f"Declare {of[:80]} in mcp_servers.")
        return
    close = get_close_matches(tool or entry, _classified(servers, of if slash else ""), n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    yield Problem(
        pointer,
        f"no server's tools say what {entry[:80]!r} does: it cannot be called{hint}",
        "List it in `tools` of its server as read, write or external.",
    )


def _classified(servers: Mapping[str, McpServer], server: str) -> list[str]:
    """The tools of one server, or of all of them and our own."""
    if server in servers:
        return list(servers[server].tools)
    own = [] if WORKSPACE_SERVER in servers else list(WORKSPACE_TOOLS)
    return own if server else [*own, *(tool for each in servers.values() for tool in each.tools)]


def _server(base: str, server: McpServer) -> Iterator[Problem]:
    if server.transport == "stdio":
        if not server.command:
            yield Problem(base, "transport stdio needs a command", "Add `command`.")
        if server.url:
            yield _unused(base, "url", server.transport)
    else:
        yield from _url(base, server)
        if server.command:
            yield _unused(base, "command", server.transport)
    for tool, pin in server.pins.items():
        pointer = f"{base}/pins/{tool.replace('~', '~0').replace('/', '~1')}"
        if not _PIN.fullmatch(pin):
            message = f"the pin of {tool} is no digest: the tool could never be called"
            yield Problem(pointer, message, "Write `sha256:` and 64 hexadecimal digits.")
        elif tool not in server.tools:
            message = f"{tool} is pinned and not listed in tools: it cannot be called"
            yield Problem(pointer, message, "List it in `tools`, or remove the pin.", "warning")


def without_credentials(url: str) -> str:
    """A URL fit to be shown: without user and password, or empty if it is no URL."""
    try:
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=place).geturl() if parts.hostname else ""
    except ValueError:
        return ""


def _url(base: str, server: McpServer) -> Iterator[Problem]:
    if not server.url:
        yield Problem(base, f"transport {server.transport} needs a url", "Add `url`.")
        return
    try:
        url = urlsplit(server.url)
        usable = url.scheme in {"http", "https"} and bool(url.hostname)
        private = bool(url.username or url.password)
    except ValueError:
        usable, private = False, False
    if not usable:
        yield Problem(f"{base}/url", "the url is no http or https URL", "Write https://HOST/mcp.")
    elif private:
        yield Problem(
            f"{base}/url",
            "the url holds credentials, and this file is in Git",
            "Remove them, change them, and name a credential of the worker with `token`.",
        )


def _unused(base: str, field: str, transport: str) -> Problem:
    return Problem(
        f"{base}/{field}",
        f"{field} is not used with transport {transport}",
        "Remove it.",
        "warning",
    )
