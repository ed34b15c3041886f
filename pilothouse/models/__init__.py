"""Pure data contracts: frozen pydantic models and the names that cross a process border."""
