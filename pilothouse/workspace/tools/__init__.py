"""The tools, a file for each kind; what each may be called by stands in `scopes`."""
