"""MCP servers, as agents may use them."""

from pilothouse.clients.mcp.client import McpClients
from pilothouse.clients.mcp.credentials import McpAccess, workspace_server
from pilothouse.clients.mcp.results import ToolAnswer

__all__ = ["McpAccess", "McpClients", "ToolAnswer", "workspace_server"]
