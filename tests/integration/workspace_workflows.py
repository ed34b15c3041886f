"""Workflows that stand for ours, where a test is about what the workspace server asks of them."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.models import names
    from pilothouse.models.runs import DeploymentRequest, DeploymentResult
    from pilothouse.models.workspace import EmittedEvent


@workflow.defn(name=names.DEPLOYMENT_WORKFLOW)
class RecordingDeployment:
    """Stands for the deployment workflow: says what it was asked."""

    @workflow.run
    async def run(self, request: DeploymentRequest) -> DeploymentResult:
        fencing = request.lease.fencing if request.lease else 0
        return DeploymentResult(
            outcome="deployed",
            environment=request.environment,
            revision=request.revision,
            message=f"deployed under the fencing number {fencing}",
        )


@workflow.defn(name=names.PIPELINE_WORKFLOW)
class WaitingRun:
    """Stands for a run that waits for an outside validator."""

    @workflow.init
    def __init__(self) -> None:
        self._event: EmittedEvent | None = None

    @workflow.run
    async def run(self) -> EmittedEvent:
        await workflow.wait_condition(lambda: self._event is not None)
        assert self._event is not None
        return self._event

    @workflow.signal(name=names.SIGNAL_EMIT)
    def emit(self, event: EmittedEvent) -> None:
        self._event = event
