"""Every name that crosses a process border: queues, workflow types, search attributes, ids.

Ids speak: the Temporal Web UI lists runs by id. Each builder stands beside its inverse, and both
are the only places that know the form.
"""

from hashlib import sha256
from typing import NamedTuple

WORKFLOW_QUEUE = "pilothouse"
"""Workflow code. Holds no credential."""
GIT_QUEUE = "pilothouse-git"
"""Git and forge tokens; no kubeconfig."""
CLUSTER_QUEUE = "pilothouse-cluster"
"""The kubeconfig; no Git write."""
WORKSPACE_QUEUE = "pilothouse-workspace"
"""The content store, rendering and the test sandbox; no credential at all."""
AGENTS_QUEUE = "pilothouse-agents"
"""Model keys and MCP clients; no kubeconfig, no Git write."""
TASK_QUEUES = (WORKFLOW_QUEUE, GIT_QUEUE, CLUSTER_QUEUE, WORKSPACE_QUEUE, AGENTS_QUEUE)

AGENT_WORKFLOW = "AgentWorkflow"
REPOSITORY_WORKFLOW = "RepositoryWorkflow"
PIPELINE_WORKFLOW = "PipelineWorkflow"
DEPLOYMENT_WORKFLOW = "DeploymentWorkflow"
ENVIRONMENT_WORKFLOW = "EnvironmentWorkflow"
LEASE_WORKFLOW = "LeaseWorkflow"
MONITOR_WORKFLOW = "MonitorWorkflow"
ROLLBACK_WORKFLOW = "RollbackWorkflow"

SIGNAL_REPOSITORY_EVENT = "repository_event"
SIGNAL_OWN_COMMIT = "own_commit"
SIGNAL_RUN_FINISHED = "run_finished"
SIGNAL_APPROVE = "approve"
SIGNAL_REJECT = "reject"
SIGNAL_SUPERSEDE = "supersede"
SIGNAL_HOLD = "hold"
SIGNAL_SET_HOLD = "set_hold"
SIGNAL_RESUME = "resume"
SIGNAL_REQUEST_LOCK = "request_lock"
SIGNAL_RENEW_LOCK = "renew_lock"
SIGNAL_RELEASE_LOCK = "release_lock"
SIGNAL_LOCK_ANSWERED = "lock_answered"
SIGNAL_LOCK_PROBED = "lock_probed"
SIGNAL_EMIT = "emit"
SIGNAL_TRANSFER_OWNERSHIP = "transfer_ownership"
SIGNAL_RECORD_RELEASE = "record_release"
SIGNAL_RECORD_OBSERVATION = "record_observation"
UPDATE_DECIDE = "decide"
QUERY_STATE = "state"

SEARCH_REPOSITORY = "PilothouseRepository"
SEARCH_ENVIRONMENT = "PilothouseEnvironment"
SEARCH_REVISION = "PilothouseRevision"
SEARCH_PHASE = "PilothousePhase"
SEARCH_OUTCOME = "PilothouseOutcome"
SEARCH_ATTRIBUTES = {
    SEARCH_REPOSITORY: "Keyword",
    SEARCH_ENVIRONMENT: "Keyword",
    SEARCH_REVISION: "Keyword",
    SEARCH_PHASE: "Keyword",
    SEARCH_OUTCOME: "Keyword",
}
"""Search attribute name -> Temporal type; the embedded server registers them at start."""

FIELD_MANAGER = "pilothouse"
"""The server-side-apply field manager. Load-bearing: a change orphans every applied field."""
OWNER_LABEL = "pilothouse.dev/inventory"
"""Label on each object that we apply; its value is the inventory's name. Constant per environment
and repository, so that it never makes an unchanged object differ."""

ANNOTATION_APPLY = "pilothouse.dev/apply"
"""On an object in Git: `if-absent` creates it and never changes it; `disabled` leaves it alone."""
ANNOTATION_PRUNE = "pilothouse.dev/prune"
"""`disabled` on a live object or in Git: it stays when it leaves Git."""
ANNOTATION_RECREATE = "pilothouse.dev/recreate"
"""`allowed`: this object may be deleted and made anew because an immutable field differs."""
ANNOTATION_CONFLICTS = "pilothouse.dev/conflicts"
"""`force`: take fields of this object from other field managers."""
ANNOTATION_WAVE = "pilothouse.dev/wave"
"""An integer: lower waves are applied, and healthy, before higher ones; Argo CD's counts too."""
ANNOTATION_ARGOCD_WAVE = "argocd.argoproj.io/sync-wave"
EXCEPTION_PREFIX = "exception.pilothouse.dev/"
"""Annotation `exception.pilothouse.dev/<rule>: "until 2027-03-31: the reason"`."""


def repository_id(slug: str) -> str:
    """`repository/<host>/<path>` of a repository's slug `<host>/<path>`."""
    return f"repository/{slug}"


def pipeline_id(slug: str, event: str, revision: str) -> str:
    """`pipeline/<host>/<path>/<event>/<revision>`; event is `push`, `manual` or `pull-<number>`."""
    return f"pipeline/{slug}/{event}/{revision}"


def environment_id(slug: str, environment: str) -> str:
    """`environment/<host>/<path>/<environment>`."""
    return f"environment/{slug}/{environment}"


def lease_id(slug: str, environment: str, holder: str) -> str:
    """`lease/<host>/<path>/<environment>/<key id>`: one key's hold on one lock."""
    return f"lease/{slug}/{environment}/{holder}"


def lock_name(path: str) -> str:
    """The name under which a path's own lock stands beside the environments' locks.

    No environment can have it: theirs hold no colon.
    """
    return f"lock:{path}"


def agent_id(run: str, agent: str) -> str:
    """`<run id>/<agent>`: one agent's part of a run, or of a deployment."""
    return f"{run}/{agent}"


def deployment_id(slug: str, environment: str, revision: str) -> str:
    """`deployment/<host>/<path>/<environment>/<revision>`."""
    return f"deployment/{slug}/{environment}/{revision}"


def monitor_id(slug: str, environment: str, look: str = "") -> str:
    """`monitor/<host>/<path>/<environment>[/<look>]`; schedules append a time themselves."""
    return f"monitor/{slug}/{environment}" + (f"/{look}" if look else "")


def rollback_id(slug: str, environment: str, request: str) -> str:
    """`rollback/<host>/<path>/<environment>/<request id>`."""
    return f"rollback/{slug}/{environment}/{request}"


class DeploymentKey(NamedTuple):
    """What a deployment's id says."""

    slug: str
    environment: str
    revision: str


def parse_deployment_id(workflow_id: str) -> DeploymentKey:
    """The inverse of `deployment_id`.

    Raises:
        ValueError: it is not a deployment's id.
    """
    kind, _, rest = workflow_id.partition("/")
    parts = rest.rsplit("/", 2)
    if kind != "deployment" or len(parts) != 3 or not all(parts):
        raise ValueError(f"{workflow_id!r} is not deployment/<host>/<path>/<environment>/<commit>")
    return DeploymentKey(*parts)


def inventory_name(slug: str, environment: str) -> str:
    """The inventory's ConfigMap, and the owner label's value: at most 63 characters.

    A name by repository and environment: two repositories may share a namespace. An environment's
    name may be longer than its part here, or hold what a ConfigMap's may not, so the digest covers
    it too: what shares an inventory prunes each other's objects.
    """
    digest = sha256(environment_id(slug, environment).encode()).hexdigest()[:8]
    return f"pilothouse-{environment[:40].replace('_', '-')}-{digest}"


def schedule_id(slug: str, environment: str) -> str:
    """The Temporal Schedule that looks at an environment."""
    return monitor_id(slug, environment)


def short(digest: str) -> str:
    """The first twelve digits of a revision or digest, as people read it."""
    return digest.removeprefix("sha256:")[:12]
