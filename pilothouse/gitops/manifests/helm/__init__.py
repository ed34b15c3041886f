"""Helm charts of the repository: inspected, rendered by the `helm` program, traced back."""
