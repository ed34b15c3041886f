"""Adapters to the outside: Git, the cluster, Temporal, the content store, settings."""
