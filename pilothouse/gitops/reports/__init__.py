"""Markdown for people: the same text in the Web UI's details, the result and the command line."""

from pilothouse.gitops.reports.entities import environment_report, repository_report
from pilothouse.gitops.reports.outcomes import (
    deployment_report,
    monitor_report,
    pipeline_report,
    rollback_report,
)

__all__ = [
    "deployment_report",
    "environment_report",
    "monitor_report",
    "pipeline_report",
    "repository_report",
    "rollback_report",
]
