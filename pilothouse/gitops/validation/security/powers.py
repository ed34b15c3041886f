"""Powers that roles grant, and how much worse each makes a break-in."""

from collections.abc import Sequence
from dataclasses import dataclass

from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.security.grants import RBAC_GROUP, Grant, Request


@dataclass(frozen=True, slots=True)
class Power:
    """What a role can do with it, and the two rules: for the role, and for who is given it."""

    can: str
    """Completes `may ...`."""
    role: Rule
    binding: Rule
    requests: tuple[Request, ...]
    """All of them are needed."""
    account: Rule | None = None
    """Told instead of `binding` where a pod or a node is given it, if tools tell them apart."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule that tells of it."""
        return (self.role, self.binding, *((self.account,) if self.account else ()))

    def granted(self, grants: Sequence[Grant]) -> str | None:
        """The JSON pointer of the rule that grants it, or None."""
        path = None
        for request in self.requests:
            path = next((g.path for g in grants if request.granted_by(g)), None)
            if path is None:
                return None
        return path


def _request(group: str, resources: str, verbs: str) -> Request:
    return Request(group, frozenset(resources.split()), frozenset(verbs.split()))


def _power(
    name: str,
    can: str,
    why: str,
    *requests: Request,
    role: dict[str, tuple[str, ...]] | None = None,
    binding: dict[str, tuple[str, ...]] | None = None,
    account: tuple[str, ...] = (),
) -> Power:
    """A power with its rules `rbac-<name>` and `rbac-<name>-bound`.

    And `rbac-<name>-account`, if `account` gives checkov's ids for it: checkov speaks of
    ServiceAccounts and nodes only.
    """
    return Power(
        can,
        Rule(
            f"rbac-{name}", "info", f"A role may {can}", why,
            "Grant only the verbs and resources that are needed.", role or {},
        ),
        Rule(
            f"rbac-{name}-bound", "warning", f"Somebody is allowed to {can}", why,
            "Bind a role that does not allow it, or nobody.", binding or {},
        ),
        requests,
        Rule(
            f"rbac-{name}-account", "warning", f"A ServiceAccount is allowed to {can}", why,
            "Bind a role that does not allow it, or mount no token.",
            {**(binding or {}), "checkov": account},
        ) if account else None,
    )  # fmt: skip


_READ = "get list watch"
_WORKLOADS = "deployments replicasets statefulsets daemonsets"
POWERS = (
    _power(
        "secrets",
        "read secrets",
        "Whatever any Secret opens is open: databases, registries, other accounts' tokens.",
        _request("", "secrets", _READ),
        binding={
            "kubescape": ("C-0015", "C-0186"),
            "kube-linter": ("access-to-secrets",),
        },
        account=("CKV2_K8S_5",),
    ),
    _power(
        "secrets-write",
        "create or delete secrets",
        "A Secret of the right type gets a token for any ServiceAccount of its namespace.",
        _request("", "secrets", "create delete"),
        binding={"kube-linter": ("access-to-secrets",)},
    ),
    _power(
        "pod-exec",
        "run commands in pods",
        "It has every pod's secrets and tokens, and leaves no trace in any manifest.",
        _request("", "pods/exec pods/attach", "create get"),
        role={"polaris": ("clusterrolePodExecAttach", "rolePodExecAttach")},
        binding={
            "kubescape": ("C-0002",),
            "polaris": (
                "clusterrolebindingPodExecAttach",
                "rolebindingClusterRolePodExecAttach",
                "rolebindingRolePodExecAttach",
            ),
        },
        account=("CKV2_K8S_2",),
    ),
    _power(
        "port-forward",
        "forward ports to pods",
        "It reaches what listens in a pod, past Services and policies.",
        _request("", "pods/portforward", "create get"),
        binding={"kubescape": ("C-0063",)},
    ),
    _power(
        "create-pods",
        "create pods",
        "A pod can name any ServiceAccount and Secret of its namespace.",
        _request("", "pods", "create"),
        binding={"kubescape": ("C-0188",), "kube-linter": ("access-to-create-pods",)},
    ),
    _power(
        "create-workloads",
        "create workloads",
        "Their pods can name any ServiceAccount and Secret of their namespace.",
        _request("apps", _WORKLOADS, "create"),
        binding={"kube-linter": ("access-to-create-pods",)},
    ),
    _power(
        "create-jobs",
        "create jobs",
        "Their pods can name any ServiceAccount and Secret of their namespace.",
        _request("batch", "jobs cronjobs", "create"),
        binding={"kube-linter": ("access-to-create-pods",)},
    ),
    _power(
        "delete-workloads",
        "delete what runs",
        "It can take the service down.",
        _request("", "pods services secrets", "delete deletecollection"),
        binding={"kubescape": ("C-0007",)},
    ),
    _power(
        "delete-controllers",
        "delete workloads",
        "It can take the service down.",
        _request("apps", _WORKLOADS, "delete deletecollection"),
        binding={"kubescape": ("C-0007",)},
    ),
    _power(
        "delete-events",
        "delete events",
        "It can hide what it did.",
        _request("", "events", "delete deletecollection"),
        binding={"kubescape": ("C-0031",)},
    ),
    _power(
        "impersonate",
        "act as somebody else",
        "It has the power of every user, group and ServiceAccount, and the log names them.",
        _request("", "users groups serviceaccounts", "impersonate"),
        binding={"kubescape": ("C-0065", "C-0191")},
        account=("CKV2_K8S_3",),
    ),
    _power(
        "escalate",
        "change roles beyond its own power",
        "It can grant itself everything.",
        _request(RBAC_GROUP, "roles clusterroles", "escalate"),
        role={"checkov": ("CKV_K8S_158",)},
        binding={"kubescape": ("C-0191",)},
    ),
    _power(
        "bind",
        "bind roles beyond its own power",
        "It can grant itself everything.",
        _request(RBAC_GROUP, "roles clusterroles", "bind"),
        binding={"kubescape": ("C-0191",)},
    ),
    _power(
        "bind-bindings",
        "bind bindings",
        "It means nothing today: bind is a verb of roles. Whoever wrote it meant more.",
        _request(RBAC_GROUP, "rolebindings clusterrolebindings", "bind"),
        role={"checkov": ("CKV_K8S_157",)},
        binding={"kubescape": ("C-0191",)},
        account=("CKV2_K8S_1",),
    ),
    _power(
        "change-bindings",
        "create or change bindings",
        "It can give everything that it may do to others; together with bind it gets more.",
        _request(RBAC_GROUP, "rolebindings clusterrolebindings", "create update patch"),
    ),
    _power(
        "webhooks",
        "change admission webhooks",
        "It can read and change every object that anybody writes.",
        _request(
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations validatingwebhookconfigurations",
            "create update patch",
        ),
        role={"checkov": ("CKV_K8S_155",)},
        binding={"kubescape": ("C-0281",)},
    ),
    _power(
        "certificates",
        "approve certificates",
        "It can make itself a certificate of any user or node.",
        _request(
            "certificates.k8s.io", "certificatesigningrequests/approval", "update patch"
        ),
        _request("certificates.k8s.io", "signers", "approve"),
        role={"checkov": ("CKV_K8S_156",)},
    ),
    _power(
        "certificate-approval",
        "mark certificate requests as approved",
        "Together with approve on a signer it makes certificates of any user or node.",
        _request(
            "certificates.k8s.io", "certificatesigningrequests/approval", "update patch"
        ),
        binding={"kubescape": ("C-0280",)},
    ),
    _power(
        "nodes-proxy",
        "talk to kubelets",
        "It runs commands in every pod of a node, past admission and audit.",
        _request("", "nodes/proxy", "get create"),
        binding={"kubescape": ("C-0279",)},
        account=("CKV2_K8S_2",),
    ),
    _power(
        "tokens",
        "make tokens of ServiceAccounts",
        "It can act as any of them.",
        _request("", "serviceaccounts/token", "create"),
        binding={"kubescape": ("C-0282",)},
    ),
    _power(
        "persistent-volumes",
        "create persistent volumes",
        "A volume can be any directory of a node.",
        _request("", "persistentvolumes", "create"),
        binding={"kubescape": ("C-0278",)},
    ),
    _power(
        "change-configmaps",
        "change ConfigMaps",
        "In kube-system that includes the cluster's name service.",
        _request("", "configmaps", "update patch"),
        binding={"kubescape": ("C-0037",)},
    ),
    _power(
        "service-status",
        "set a Service's status",
        "It can draw traffic for any address to itself.",
        _request("", "services/status", "update patch"),
        account=("CKV2_K8S_4",),
    ),
)  # fmt: skip
"""Every power that is worth a word."""
