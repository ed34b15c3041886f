"""MCP servers, as agents may use them."""

from pilothouse.clients.mcp.client import McpClients
from pilothouse.clients.mcp.results import ToolAnswer

__all__ = ["McpClients", "ToolAnswer"]
