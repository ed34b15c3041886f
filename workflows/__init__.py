"""Deterministic orchestration: one workflow class a file."""

from workflows.deployment import DeploymentWorkflow
from workflows.environment import EnvironmentWorkflow
from workflows.monitor import MonitorWorkflow
from workflows.pipeline import PipelineWorkflow
from workflows.repository import RepositoryWorkflow
from workflows.rollback import RollbackWorkflow

WORKFLOWS: list[type] = [
    DeploymentWorkflow,
    EnvironmentWorkflow,
    MonitorWorkflow,
    PipelineWorkflow,
    RepositoryWorkflow,
    RollbackWorkflow,
]
"""Everything that a worker of the workflow queue serves, and the replay tests replay."""
