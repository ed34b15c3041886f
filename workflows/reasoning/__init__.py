"""One agent's loop: model call, tool calls, answer, within a budget."""
