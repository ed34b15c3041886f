"""Pilothouse: durable AI agents for GitOps, on Temporal."""
