"""An environment's lock, ledger, hold, and the decisions of people."""

from typing import Literal

from pilothouse.models.base import Claim, Contract
from pilothouse.models.objects import RenderedBundle
from pilothouse.models.repository import Digest, RepositoryRef, Revision


class Release(Contract):
    """One revision that was deployed to an environment, and how that ended."""

    revision: Revision
    plan: Digest
    outcome: Literal["good", "bad"]
    at: str
    """ISO 8601, workflow time."""
    deployment: str
    """Workflow id."""
    reason: str = ""
    """Why it was bad."""
    bundle: RenderedBundle | None = None
    """Its objects in the content store: what a rollback or a correction puts back, byte by byte."""
    forced: str = ""
    """Who forced it past a refusal, and why; empty: nobody had to."""


class Hold(Contract):
    """Automation is paused, and why."""

    kind: Literal["manual", "rollback", "frozen"]
    """`rollback` lifts itself when a newer revision proves good; the others wait for a person.
    `frozen`: a rollback failed too."""
    reason: str
    by: str
    since: str
    """ISO 8601, workflow time."""
    bad_revision: str = ""


class LockRequest(Contract):
    """A deployment asks for an environment's lock."""

    holder: str
    """Workflow id of the deployment: the key of request, renewal and release."""
    revision: Revision
    lease_seconds: int = 900
    """The lock is taken back when it was not renewed for so long."""
    seen_fencing: int = 0
    """The number that the cluster knows. Ours must be higher, also when the environment's history
    was lost with Temporal's database and would begin again at 1."""
    rollback: bool = False
    """A rollback goes to the head of the queue and passes a `rollback` hold."""
    plan: str = ""
    """The plan's digest: what is known to be bad is so under any commit id."""
    forced: str = ""
    """Who insists on what is known to be bad, and why; passes neither hold nor freeze."""
    writes: bool = True
    """False: a lease, which keeps others out and deploys nothing by itself."""
    under: str = ""
    """Workflow id of a lease: while it holds the lock it lends it to this request."""


class LockKey(Contract):
    """Who renews or releases."""

    holder: str
    wrote: str = ""
    """Release: the revision that the holder began to write last; empty: it wrote nothing."""


class LockProbe(Contract):
    """Somebody waits: the environment asks whether the holder still runs, and says who."""

    holder: str
    waiting: tuple[Revision, ...] = ()
    """Revisions of the deployments in the queue, at most the first ten; rollbacks left out."""


class LockAnswer(Contract):
    """Granted with a fencing number, or refused with a reason; signalled to the holder."""

    granted: bool
    fencing: int = 0
    """Rises with each grant, for ever; the cluster refuses a writer with a lower one."""
    reason: str = ""
    last_good: Release | None = None
    good: tuple[Release, ...] = ()
    """What was good here, at most the last ten, oldest first."""
    current: str = ""
    """The revision that was written last, whatever became of it."""
    hold: Hold | None = None
    owner: str = ""
    """Who alone approves here; empty: whom the pipeline file lets."""


class HoldClaim(Claim):
    """Pause or resume an environment."""

    reason: str = ""
    by: str = ""


class OwnershipClaim(Claim):
    """Hand an environment to a person, who alone approves there; or back, to nobody."""

    owner: str = ""
    """Their e-mail; empty: nobody, the pipeline file's approvers decide again."""
    by: str = ""
    """Who hands it over: a person, or the id of an API key."""
    reason: str = ""


class Ownership(Contract):
    """Whose an environment is."""

    owner: str
    by: str
    since: str
    """ISO 8601, workflow time."""
    reason: str = ""


class HoldRequest(Contract):
    """A workflow of ours sets a hold."""

    hold: Hold


class Observation(Contract):
    """What the monitor saw last."""

    at: str
    status: str
    drifted: int = 0
    summary: str = ""
    revision: str = ""
    """What the inventory says is deployed."""
    differences: tuple[str, ...] = ()
    """What drifted, one `Kind/namespace/name` with a JSON pointer each, sorted, at most 100."""
    correct: bool = False
    """Whether the environment's policy wants drift put back."""


class Correction(Contract):
    """One time that drift was put back."""

    at: str
    """ISO 8601, workflow time."""
    revision: Revision
    differences: tuple[str, ...] = ()


class EnvironmentRequest(Contract):
    """Starts an environment's entity. Only the repository and the name are essential."""

    repository: RepositoryRef
    environment: str
    state: "EnvironmentState | None" = None
    """Carried through continue-as-new; never given by people."""


class EnvironmentState(Contract):
    """Everything an environment remembers. Durable history keeps it; no file does."""

    fencing: int = 0
    holder: LockRequest | None = None
    lender: LockRequest | None = None
    """The lease in whose time the holder has the lock, and which has it back afterwards."""
    expires_at: str = ""
    """ISO 8601: when the holder's lease ends unless it is renewed."""
    queue: tuple[LockRequest, ...] = ()
    last_good: Release | None = None
    releases: tuple[Release, ...] = ()
    """The last 50, oldest first."""
    hold: Hold | None = None
    current: str = ""
    """The revision that was written last, whatever became of it; empty: nothing ever was."""
    observation: Observation | None = None
    corrections: tuple[Correction, ...] = ()
    """The last 20, oldest first."""
    correcting_stopped: str = ""
    """Why drift is only reported, though the policy says `correct`; empty: it is put back."""
    ownership: Ownership | None = None
    """None: nobody's in particular."""
    notices: tuple[str, ...] = ()
    """The last 20 things that were refused or taken back, for people."""

    @property
    def owner(self) -> str:
        """Who alone approves here; empty: whom the pipeline file lets."""
        return self.ownership.owner if self.ownership is not None else ""


class DecisionClaim(Claim):
    """A person's decision about one plan. A claim: checked before it counts."""

    by: str = ""
    """Who decides, by name or e-mail."""
    plan: str = ""
    """The plan digest that was looked at; at least its first twelve digits."""
    reason: str = ""


class DecideClaim(DecisionClaim):
    """The same decision as an update, which answers at once."""

    approve: bool = False


class Decision(Contract):
    """A decision that counted."""

    approved: bool
    by: str
    plan: Digest
    reason: str = ""
    at: str
