"""What the stages of one run share, and how a stage asks its agent's model."""

from collections.abc import Callable
from dataclasses import dataclass, field

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pilothouse.gitops.reports.agents import advice_line
    from pilothouse.models import names
    from pilothouse.models.agents import AgentRequest, AgentResult
    from pilothouse.models.findings import ValidationReport, Verdict
    from pilothouse.models.material import MaterialRequest
    from pilothouse.models.pipeline import Pipeline
    from pilothouse.models.repository import Snapshot
    from pilothouse.models.runs import (
        DeploymentResult,
        PipelineRequest,
        StageReport,
        SupersedeClaim,
    )

from workflows.advice import consult
from workflows.emissions import Emissions

MAX_WORDS = 300
"""Characters that a stage before gets in an agent's material."""


@dataclass
class Run:
    """What the stages of one run share."""

    request: PipelineRequest
    snapshot: Snapshot
    pipeline: Pipeline
    governing: Snapshot
    """Whose pipeline file and policies count: the snapshot's own, or a pull request's base's."""
    show: Callable[[], None]
    """Brings the run's page up to date."""
    emissions: Emissions
    """What agents outside said of it."""
    superseded: str = ""
    deploying: "workflow.ChildWorkflowHandle[object, DeploymentResult] | None" = None
    asking: str = ""
    """Workflow id of the agent that is asked now."""
    deployed: list[str] = field(default_factory=list)
    """Environments that took this revision."""
    needs_human: list[str] = field(default_factory=list)
    """Why a person has to look before anything more is deployed; empty: nobody has to."""
    reports: list[StageReport] = field(default_factory=list)
    """Of the stages that have ended."""
    validation: ValidationReport | None = None
    bundles: dict[str, str] = field(default_factory=dict)
    """Environment -> address of the bundle that this revision renders to, once it is known."""

    @property
    def waits_in(self) -> str:
        """The workflow whose page says what is waited for now; empty if it is this one's."""
        return self.deploying.id if self.deploying is not None else self.asking

    async def supersede(self, claim: SupersedeClaim) -> None:
        """Stop before the next stage, the agent that thinks, and a deployment that writes nothing.

        The agent is told by whoever waits for it.
        """
        self.superseded = claim.by or "a newer revision"
        if self.deploying is not None:
            await self.deploying.signal(names.SIGNAL_SUPERSEDE, claim)

    def task_for(self, agent: str, rules: Verdict = "pass", task: str = "") -> AgentRequest:
        """What an agent is asked: by the governing pipeline file, with the governing prompts."""
        return AgentRequest(
            repository=self.request.repository,
            revision=self.request.revision,
            run=workflow.info().workflow_id,
            name=agent,
            role=self.pipeline.role_of(agent),
            spec=self.pipeline.agents[agent],
            servers=self.pipeline.mcp_servers,
            tree=self.snapshot.tree,
            prompt_tree=self.governing.tree,
            read_only=self.request.is_pull_request,
            rules=rules,
            task=task,
        )

    def known(self) -> MaterialRequest:
        """What every agent of the run may be shown, so far."""
        return MaterialRequest(
            snapshot=self.snapshot,
            governing=self.governing,
            pipeline=self.pipeline,
            bundles=self.bundles,
            stages=tuple(map(_in_a_line, self.reports)),
        )

    async def advised(
        self, report: StageReport, task: AgentRequest, show: MaterialRequest, against: str
    ) -> StageReport:
        """The report with what the stage's model says, if it has one: never better than before.

        Args:
            report: what rules alone made of the stage.
            task: of `task_for`.
            show: what the model is shown.
            against: the event of a stage that the model blocks.
        """
        if not task.spec.model:
            return report
        self.asking = names.agent_id(workflow.info().workflow_id, task.name)
        self.show()
        try:
            advice = await consult(task, show, lambda: self.superseded)
        finally:
            self.asking = ""
        self.heed(task.name, advice)
        weighed: dict[str, object] = {
            "advice": advice,
            "summary": f"{report.summary}; {advice_line(advice)}",
        }
        if advice.outcome == "superseded":
            weighed |= {"outcome": "superseded", "event": ""}
        elif advice.verdict == "block" and report.outcome == "passed":
            weighed |= {"outcome": "blocked", "event": against}
        return report.model_copy(update=weighed)

    def heed(self, agent: str, advice: AgentResult | None) -> None:
        """If it asks for a person, every later deployment of this run asks one."""
        if advice is not None and advice.needs_human:
            self.needs_human.append(f"{agent}: {advice_line(advice)}")


def _in_a_line(report: StageReport) -> str:
    place = f" in {report.environment}" if report.environment else ""
    return f"{report.agent}{place}: {report.outcome}; {report.summary}"[:MAX_WORDS]
