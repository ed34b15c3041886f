"""The `pilothouse` command."""
