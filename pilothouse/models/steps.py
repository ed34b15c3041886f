"""What the activities take and give. One object in, one object out."""

from typing import Literal

from pilothouse.models.base import Contract
from pilothouse.models.environment import Release
from pilothouse.models.findings import Finding, ValidationReport
from pilothouse.models.health import DriftReport, HealthReport
from pilothouse.models.objects import RenderedBundle
from pilothouse.models.pipeline import Environment, HealthCheck, IgnoreRule, Pipeline
from pilothouse.models.repository import Digest, RepositoryRef, Revision, Snapshot


class HeadRequest(Contract):
    """Where does a ref point."""

    repository: RepositoryRef
    ref: str


class Head(Contract):
    """Where a ref points now; empty if it does not exist."""

    revision: str = ""


class SnapshotRequest(Contract):
    """The files of one revision, please."""

    repository: RepositoryRef
    revision: Revision


class PipelineLoad(Contract):
    """A revision's pipeline file, or why it is none."""

    pipeline: Pipeline | None = None
    findings: tuple[Finding, ...] = ()


class RenderRequest(Contract):
    """Render and validate one environment."""

    snapshot: Snapshot
    pipeline: Pipeline
    environment: str
    policies_from: Snapshot | None = None
    """Whose own rules count: a pull request's base; without one the snapshot's own."""

    @property
    def resolves_images(self) -> bool:
        """Whether registries are asked. Not for a pull request: it could name any host."""
        return self.pipeline.environments[self.environment].resolve_images and (
            self.policies_from is None
        )


class RenderResult(Contract):
    """A bundle, unless findings block it."""

    bundle: RenderedBundle | None = None
    report: ValidationReport


class TestRequest(Contract):
    """Run commands in a clean export of a snapshot."""

    __test__ = False
    snapshot: Snapshot
    commands: tuple[str, ...]
    timeout_seconds: float


class PlanRequest(Contract):
    """Diff a bundle against a cluster."""

    content: Digest
    revision: Revision
    inventory: str
    prune: bool = True
    recreate: bool = False
    take_back: bool = False
    """Whether fields of other managers are taken, as for objects that ask for it."""
    ignore: tuple[IgnoreRule, ...] = ()


class ApplyRequest(Contract):
    """Put a bundle into a cluster. The only request that writes to one."""

    content: Digest
    """The bundle in the content store."""
    plan: Digest
    """What was decided on; the bundle must hash to it at the write."""
    revision: Revision
    inventory: str
    fencing: int
    operation: str
    """Workflow id of the deployment."""
    prune: bool = True
    recreate: bool = False
    take_back: bool = False
    """As in the plan's request."""
    ignore: tuple[IgnoreRule, ...] = ()
    max_deletes: int | None = None
    """How many objects may be deleted: the environment's budget, or what a person approved."""
    rehearsal: str = ""
    """Address of the plan's rehearsal in the content store."""
    checks: tuple[HealthCheck, ...] = ()
    """How to judge custom resources between waves."""
    wave_timeout_seconds: float = 300.0
    """How long one wave may take to become healthy before the apply stops."""


class HealthRequest(Contract):
    """Wait until a bundle works, or cannot any more."""

    content: Digest
    timeout_seconds: float
    checks: tuple[HealthCheck, ...] = ()
    settle_seconds: float = 1.0
    """For how long workloads must stay healthy; 0: one look is enough, as nothing was written."""


class ObserveRequest(Contract):
    """Look at what the inventory says is deployed."""

    namespace: str
    inventory: str
    checks: tuple[HealthCheck, ...] = ()
    ignore: tuple[IgnoreRule, ...] = ()


class ObserveResult(Contract):
    """What is there."""

    deployed: bool
    """False: there is no inventory, so nothing was ever deployed here."""
    revision: str = ""
    health: HealthReport | None = None
    drift: DriftReport | None = None


class OrderRequest(Contract):
    """Does one revision come before another."""

    repository: RepositoryRef
    revision: Revision
    than: Revision


class Order(Contract):
    """The answer, by ancestry."""

    older: bool
    """Whether `than` contains the revision and is another one. False also if `than` is gone."""


class LedgerRequest(Contract):
    """How did a revision do in an environment."""

    repository: RepositoryRef
    environment: str
    revision: Revision


class LedgerEntry(Contract):
    """What the environment remembers of it; nothing if it never was there."""

    release: Release | None = None
    owner: str = ""
    """Who alone approves there; empty: whom the pipeline file lets."""


class CommitRequest(Contract):
    """A commit of ours on a branch: the same request on the same base gives the same id."""

    repository: RepositoryRef
    branch: str
    kind: Literal["status", "revert"]
    message: str
    when: str
    """ISO 8601 with offset, from workflow time."""
    files: dict[str, str] = {}
    """`status`: path -> text. At most 48 KiB in all."""
    bad: str = ""
    """`revert`: the revision to undo."""
    good: str = ""
    """`revert`: the revision to restore."""


class ProposedCommit(Contract):
    """A commit that is not pushed yet."""

    revision: Revision
    base: str
    """The branch's head that it stands on; empty: the branch does not exist."""


class PublishRequest(Contract):
    """Push a proposed commit."""

    commit: CommitRequest
    proposed: ProposedCommit


class MonitorScheduleRequest(Contract):
    """Look at an environment again and again."""

    repository: RepositoryRef
    environment: str
    policy: Environment
    health_checks: tuple[HealthCheck, ...] = ()
    trigger: str
    """`cron.5min` or `cron.<five fields>`."""
