"""Requests and results of the workflows.

All fields but the essential ones have defaults, so that each workflow starts from the `temporal`
CLI with a line of JSON.
"""

from typing import Literal

from pilothouse.models.agents import AgentRequest, AgentResult
from pilothouse.models.base import Claim, Contract
from pilothouse.models.environment import Decision, LockAnswer, Release
from pilothouse.models.findings import ValidationReport
from pilothouse.models.health import Diagnosis, DriftReport, HealthReport
from pilothouse.models.objects import ApplyReport, Plan, RenderedBundle
from pilothouse.models.pipeline import Environment, HealthCheck
from pilothouse.models.repository import (
    Commit,
    OwnCommit,
    RepositoryEvent,
    RepositoryRef,
    Revision,
    Snapshot,
)

StageOutcome = Literal["passed", "failed", "blocked", "skipped", "superseded", "error"]
DeploymentOutcome = Literal[
    "deployed",
    "blocked",
    "rejected",
    "expired",
    "on_hold",
    "superseded",
    "rolled_back",
    "failed",
]
RunOutcome = Literal[
    "succeeded", "blocked", "failed", "rolled_back", "superseded", "waiting", "error"
]


class RunRecord(Contract):
    """One line of a repository's list of runs."""

    run: str
    """Workflow id."""
    ref: str
    revision: Revision
    outcome: RunOutcome | Literal["running"] = "running"


class RepositoryState(Contract):
    """Everything a repository's entity remembers."""

    deliveries: tuple[str, ...] = ()
    """Delivery ids seen, the last 500."""
    heads: dict[str, str] = {}
    """ref -> the revision that was evaluated last."""
    runs: tuple[RunRecord, ...] = ()
    """The last 50, oldest first."""
    own_commits: tuple[OwnCommit, ...] = ()
    """Commits of ours, the last 200: their arrival starts nothing."""
    pending: tuple[RepositoryEvent, ...] = ()
    notices: tuple[str, ...] = ()
    """The last 20 things that were ignored or failed, for people."""


class RepositoryRequest(Contract):
    """Starts a repository's entity."""

    repository: RepositoryRef
    poll_seconds: int = 60
    """How often the default branch's head is looked up, in case a webhook was lost; 0: never."""
    state: RepositoryState = RepositoryState()


class RunFinished(Contract):
    """A run tells its repository how it ended."""

    run: str
    outcome: RunOutcome


class SupersedeClaim(Claim):
    """A newer head replaces this run, if it is not yet writing."""

    by: str = ""
    """The newer revision, or a word for why."""


class StageReport(Contract):
    """One agent's part of a run."""

    agent: str
    outcome: StageOutcome
    event: str = ""
    """The status event that it emitted."""
    seconds: float = 0.0
    summary: str = ""
    validation: ValidationReport | None = None
    tests: "TestReport | None" = None
    environment: str = ""
    deployment: "DeploymentResult | None" = None
    advice: AgentResult | None = None
    """What the agent's model said; none: no model was asked."""


class CommandResult(Contract):
    """One command of the tests."""

    command: str
    exit_code: int
    """Negative: ended by that signal; -9 also when its time was up."""
    seconds: float
    timed_out: bool = False
    output: str
    """The end of what it printed, at most 4,000 characters; untrusted."""


class TestReport(Contract):
    """What the repository's own tests said."""

    __test__ = False
    passed: bool
    commands: tuple[CommandResult, ...] = ()


class PipelineRequest(Contract):
    """Starts one run."""

    repository: RepositoryRef
    revision: Revision
    event: str = "manual"
    """`push`, `manual` or `pull-<number>`."""
    ref: str = ""
    base_ref: str = ""
    """Pull request: whose pipeline file governs."""

    @property
    def is_pull_request(self) -> bool:
        """Whether the capability ceiling is read, validate, plan, comment."""
        return self.event.startswith("pull-")


class PipelineResult(Contract):
    """One run, whole."""

    revision: Revision
    event: str
    outcome: RunOutcome
    stages: tuple[StageReport, ...] = ()
    status_commit: str = ""
    message: str = ""
    report: str = ""
    """Markdown, the same text that the Web UI shows while a worker is up."""


class DeploymentRequest(Contract):
    """Starts one deployment of one revision to one environment."""

    repository: RepositoryRef
    revision: Revision
    environment: str
    run: str = ""
    """Workflow id of the run that asks; empty: started by hand."""
    force: bool = False
    """Deploy although the revision is known to be bad here, or skipped the environment before."""
    by: str = ""
    """Who forces it; needed with `force`."""
    why: str = ""
    """Why it is forced; needed with `force`."""
    rollback: bool = False
    """The revision restores one that was approved and healthy here: no new approval, no further
    rollback. Only from a workflow of ours, as all that follows."""
    correction: bool = False
    """The revision is deployed and good, and drifted: its plan is put back."""
    expected_plan: str = ""
    """A rollback or correction: the digest of the plan that was healthy; no other is deployed."""
    restore: RenderedBundle | None = None
    """The bundle of that plan; deployed when the revision renders to another."""
    ask: str = ""
    """Why a person has to look before anything is written, whatever the policy; empty: by policy.
    """
    unattended: bool = False
    """Nobody is there to be asked: what needs a person's decision ends as `blocked`."""
    lease: LockAnswer | None = None
    """A lock that the starter holds and goes on holding."""
    under: str = ""
    """Workflow id of a lease of the environment: while it holds the lock it lends it to this."""
    snapshot: Snapshot | None = None
    """The revision's files, if the starter has read them already."""

    @property
    def restores(self) -> bool:
        """Whether it puts back what was approved and healthy here."""
        return self.rollback or self.correction

    @property
    def forced(self) -> str:
        """Who forces it, and why; empty if nobody does."""
        return f"{self.by}: {self.why}" if self.force else ""


class DeploymentResult(Contract):
    """How a deployment ended."""

    outcome: DeploymentOutcome
    environment: str
    revision: Revision
    deployment: str = ""
    """Workflow id."""
    commit: Commit | None = None
    message: str = ""
    seconds: float = 0.0
    validation: ValidationReport | None = None
    plan: Plan | None = None
    asked: str = ""
    """Why a person was asked; empty: nobody was."""
    decision: Decision | None = None
    apply: ApplyReport | None = None
    health: HealthReport | None = None
    diagnosis: Diagnosis | None = None
    drift: DriftReport | None = None
    """What differed from the plan when it was read back."""
    rollback: "RollbackResult | None" = None
    advice: AgentResult | None = None
    """What the deployer's model said of the plan; none: no model was asked."""
    remark: str = ""
    """What people should know of the objects; empty: they are what the revision renders to."""
    report: str = ""


class RollbackRequest(Contract):
    """Puts a named or the last good revision back, through Git."""

    repository: RepositoryRef
    environment: str
    request_id: str = "manual"
    to_revision: str = ""
    """Empty: the last good one."""
    bad_revision: str = ""
    """Empty: the head of the default branch."""
    reason: str = ""
    requested_by: str = ""
    run: str = ""
    lease: LockAnswer | None = None
    """From the failed deployment, which holds the lock until the rollback is through."""


class RollbackResult(Contract):
    """How a rollback ended."""

    outcome: Literal["rolled_back", "nothing_good", "conflict", "failed", "on_hold"]
    to_revision: str = ""
    bad_revision: str = ""
    revert_commit: str = ""
    health: HealthReport | None = None
    message: str = ""


class MonitorRequest(Contract):
    """One look at one environment."""

    repository: RepositoryRef
    environment: str
    policy: Environment | None = None
    """Not given: read from the pipeline file at the default branch's head."""
    health_checks: tuple[HealthCheck, ...] = ()
    trigger: Literal["deployment", "schedule", "manual"] = "manual"
    agent: AgentRequest | None = None
    """Whom to ask about what was seen; nobody without one. Only from a workflow of ours."""


class MonitorResult(Contract):
    """What one look saw."""

    verdict: Literal["healthy", "degraded", "unknown"]
    revision: str = ""
    """What the inventory says is deployed."""
    health: HealthReport | None = None
    drift: DriftReport | None = None
    advice: AgentResult | None = None
    """What the monitor's model said; none: no model was asked."""
    message: str = ""
    report: str = ""


class ReleaseRecord(Contract):
    """A deployment tells its environment how it ended."""

    release: Release
    lift_rollback_hold: bool = False
