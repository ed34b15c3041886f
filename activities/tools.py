"""Tools of MCP servers: which an agent has, and one call of one of them. Holds MCP credentials."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from pydantic import JsonValue
from temporalio import activity

from pilothouse.clients.mcp import ToolAnswer
from pilothouse.clients.store import ContentStore
from pilothouse.gitops.agents.framing import MAX_LINES, READ_MORE, frame, read_more
from pilothouse.gitops.agents.sanitise import Clean, one_line, sanitise
from pilothouse.gitops.agents.schemas import IDEMPOTENCY_KEY, argument_problems, with_words
from pilothouse.gitops.agents.toolset import (
    READ_MORE_TOOL,
    READ_MORE_TOOL_SPEC,
    AdvertisedTool,
    OfferedTool,
    needed_servers,
    select_tools,
)
from pilothouse.gitops.redaction import Redactor
from pilothouse.models.conversations import TOOL_LIST, ToolDefinition
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import canonical_json
from pilothouse.models.pipeline import McpServer
from pilothouse.models.tools import (
    Material,
    ToolCallRequest,
    ToolCallResult,
    ToolList,
    ToolListRequest,
    ToolSpec,
)
from pilothouse.models.workspace import WORKSPACE_SERVER

HEADER_ANNOTATION: Final = b'"x-mcp-header"'
"""In a schema: some arguments travel in headers, and only the server's listing says which."""


class ToolServers(Protocol):
    """MCP servers, as `pilothouse.clients.mcp.McpClients` reaches them."""

    async def list_tools(
        self, name: str, server: McpServer, *, timeout: float
    ) -> tuple[AdvertisedTool, ...]:
        """What a server offers."""
        ...

    async def call(
        self,
        name: str,
        server: McpServer,
        tool: str,
        arguments: Mapping[str, JsonValue],
        *,
        key: str,
        timeout: float,
        repeatable: bool = False,
        list_first: bool = False,
    ) -> ToolAnswer:
        """Call a tool once."""
        ...


class ToolActivities:
    """What an agent's workflow may do with tools."""

    def __init__(
        self,
        *,
        store: ContentStore,
        clients: ToolServers,
        secrets: Sequence[str] = (),
        workspace: McpServer | None = None,
    ) -> None:
        """Prepare.

        Args:
            store: where arguments are read from and results go.
            clients: the MCP servers.
            secrets: values that this process holds; no text leaves with one of them.
            workspace: our own workspace server, which Git need not declare; none: it cannot be
                reached from here.
        """
        self._store = store
        self._clients = clients
        self._workspace = workspace
        self._secrets = tuple(secrets)

    @activity.defn
    async def list_tools(self, request: ToolListRequest) -> ToolList:
        """What an agent may call in this run, and why not the rest of what Git allows it.

        Asks only the servers that classify a tool which the agent may have. Reads only, so it may
        be repeated; the workflow does it once for each run, and what was listed then holds.

        Raises:
            PermanentError: `ToolRefused`, a server refuses us.
            TemporaryError: `ToolUnavailable`, a server is down.
        """
        advertised = await self._listed(request)
        chosen = await asyncio.to_thread(
            select_tools,
            advertised,
            allowed=request.allowed,
            servers=request.servers,
            read_only=request.read_only,
            workspace=self._workspace,
        )
        redactor = Redactor(self._secrets)
        kept = [self._kept(tool, redactor) for tool in chosen.tools]
        definitions = (*(definition for _, definition in kept), READ_MORE_TOOL)
        return ToolList(
            tools=(*(spec for spec, _ in kept), READ_MORE_TOOL_SPEC),
            definitions=self._store.put(TOOL_LIST.dump_json(definitions)),
            left_out=chosen.left_out,
        )

    @activity.defn
    async def call_tool(self, request: ToolCallRequest) -> ToolCallResult:
        """Call one tool and put its answer, sanitised and framed, into the content store.

        Arguments that do not fit the schema, and errors of the tool itself, are answers for the
        model. A call that writes is sent once, unless its server takes the operation id: then, and
        for calls that read, it may be repeated.

        Raises:
            PermanentError: `ToolRefused`; `ToolUnavailable` if it is not known whether a call that
                writes took effect.
            TemporaryError: `ToolUnavailable`.
        """
        arguments = self._arguments(request)
        answer = await self._answer(request, arguments)
        return await asyncio.to_thread(self._result, request, answer)

    async def _listed(self, request: ToolListRequest) -> dict[str, tuple[AdvertisedTool, ...]]:
        servers = needed_servers(request.allowed, request.servers, self._workspace)
        listing = {
            name: asyncio.create_task(
                self._clients.list_tools(name, server, timeout=request.timeout_seconds)
            )
            for name, server in servers.items()
        }
        try:
            await asyncio.gather(*listing.values())
        finally:
            for task in listing.values():  # one that is down is enough: the rest need not answer
                task.cancel()
        return {name: task.result() for name, task in listing.items()}

    def _kept(self, tool: OfferedTool, redactor: Redactor) -> tuple[ToolSpec, ToolDefinition]:
        """What the model is told of a tool: its words are untrusted like any other."""
        description = sanitise(tool.definition.description, redactor).text
        shown = with_words(
            tool.definition.input_schema,
            describe=lambda text: one_line(text, redactor, limit=500),
            clean=lambda text: sanitise(text, redactor).text,
        )
        told = {"description": description, "input_schema": shown}
        kept = {
            "description": self._store.put(description.encode("utf-8", "replace")),
            "input_schema": self._store.put(canonical_json(shown)),
        }
        return tool.spec.model_copy(update=kept), tool.definition.model_copy(update=told)

    def _arguments(self, request: ToolCallRequest) -> dict[str, JsonValue]:
        parsed = json.loads(self._store.get(request.arguments))
        if not isinstance(parsed, dict):
            raise PermanentError("InvalidRequest", "a tool's arguments have to be a JSON object")
        return parsed

    async def _answer(
        self, request: ToolCallRequest, arguments: dict[str, JsonValue]
    ) -> ToolAnswer:
        spec = request.spec
        schema = self._schema(request)
        problems = argument_problems(json.loads(schema), arguments)
        if problems:
            return ToolAnswer("the call was not made: " + "; ".join(problems), is_error=True)
        if spec.name == READ_MORE and request.server is None:
            return self._read_more(request, arguments)
        server = self._server(request)
        repeatable = spec.kind == "read" or spec.keyed
        if activity.info().attempt > 1 and not repeatable:
            raise PermanentError(
                "ToolUnavailable",
                f"the worker ended while {spec.server}/{spec.tool} was called; it is not known "
                "whether the call took effect, so it is not repeated",
            )
        # Ours or none: a server may know the argument though its schema does not say so.
        arguments.pop(IDEMPOTENCY_KEY, None)
        if spec.keyed:
            arguments[IDEMPOTENCY_KEY] = request.key
        return await self._clients.call(
            spec.server,
            server,
            spec.tool,
            arguments,
            key=request.key,
            timeout=request.timeout_seconds,
            repeatable=repeatable,
            list_first=HEADER_ANNOTATION in schema,
        )

    def _server(self, request: ToolCallRequest) -> McpServer:
        """Git's server, or our own: its address is known to this worker only."""
        if request.server is not None and request.spec.server:
            return request.server
        if request.spec.server != WORKSPACE_SERVER:
            raise PermanentError(
                "InvalidRequest", f"there is no built-in tool {request.spec.name!r}"
            )
        if self._workspace is None:
            raise PermanentError(
                "ToolRefused", "the worker has no PILOTHOUSE_WORKSPACE_URL any more: set it again"
            )
        return self._workspace

    def _schema(self, request: ToolCallRequest) -> bytes:
        if request.spec.name == READ_MORE and request.server is None:
            return json.dumps(READ_MORE_TOOL.input_schema).encode()
        if request.spec.input_schema is None:
            raise PermanentError("InvalidRequest", f"{request.spec.name!r} has no schema")
        return self._store.get(request.spec.input_schema)

    def _read_more(
        self, request: ToolCallRequest, arguments: Mapping[str, JsonValue]
    ) -> ToolAnswer:
        """Only what this agent was shown a part of: a digest is no key to the whole store."""
        ref = str(arguments["ref"])
        if ref not in request.readable:
            return ToolAnswer("you were not shown a text with this `ref`", is_error=True)
        start, lines = arguments.get("start", 1), arguments.get("lines", 100)
        text = read_more(
            self._store.get(ref).decode("utf-8", "replace"),
            grep=str(arguments.get("grep", "")),
            start=int(start) if isinstance(start, int | float) else 1,
            lines=int(lines) if isinstance(lines, int | float) else MAX_LINES,
        )
        return ToolAnswer(text)

    def _result(self, request: ToolCallRequest, answer: ToolAnswer) -> ToolCallResult:
        redactor = Redactor(self._secrets, salt=_run_of(request.key))
        clean: Clean = sanitise(answer.text, redactor)
        cut = answer.cut + clean.cut
        text = clean.text + (f"\n[{cut} more characters were not read]" if cut else "")
        full = self._store.put(text.encode("utf-8", "replace"))
        title = one_line(f"{request.spec.server} {request.spec.tool}".strip(), redactor, limit=150)
        framed = frame(text, id=request.evidence, title=f"tool {title}", key=request.key, ref=full)
        body = framed.body.encode("utf-8", "replace")
        return ToolCallResult(
            text=self._store.put(framed.text.encode("utf-8", "replace")),
            material=Material(
                id=request.evidence,
                kind="tool",
                title=title,
                content=self._store.put(body),
                size=len(body),
                untrusted=True,
            ),
            full=full,
            omitted=framed.omitted,
            is_error=answer.is_error,
            redactions=dict(clean.redactions),
        )


def _run_of(key: str) -> str:
    """`<workflow id>/<run id>` of `<workflow id>/<run id>/<call number>`."""
    return key.rpartition("/")[0]
