"""The webhook-to-signal HTTP service."""
