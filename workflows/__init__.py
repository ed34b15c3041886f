"""Deterministic orchestration: one workflow class a file."""

from workflows.agent import AgentWorkflow
from workflows.deployment import DeploymentWorkflow
from workflows.environment import EnvironmentWorkflow
from workflows.lease import LeaseWorkflow
from workflows.monitor import MonitorWorkflow
from workflows.pipeline import PipelineWorkflow
from workflows.repository import RepositoryWorkflow
from workflows.rollback import RollbackWorkflow

WORKFLOWS: list[type] = [
    AgentWorkflow,
    DeploymentWorkflow,
    EnvironmentWorkflow,
    LeaseWorkflow,
    MonitorWorkflow,
    PipelineWorkflow,
    RepositoryWorkflow,
    RollbackWorkflow,
]
"""Everything that a worker of the workflow queue serves, and the replay tests replay."""
