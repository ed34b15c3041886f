"""The MCP server: what agents see of a repository through files, locks, search and requests."""
