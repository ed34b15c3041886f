"""Flags of the control plane's programs, as the CIS benchmark wants them."""

from typing import NamedTuple


class FlagRow(NamedTuple):
    """What one flag, or each of several, has to be."""

    flags: str
    """Without dashes, separated by spaces."""
    wanted: str
    """`set`, `unset`, `=value`, `!=value`, `>=number`; for a list `+item` and `-item`, for
    a list of ciphers `strong`."""
    why: str
    """What happens otherwise."""
    ids: str
    """Those of checkov and kubescape, separated by spaces."""


_NAMELESS = "Requests without a name are answered."
_PASSWORDS = "Credentials in a file cannot be taken back without a restart."
_CLEAR = "Traffic is neither encrypted nor is it known who answers."
_PROFILE = "Profiles tell an attacker about the program, and cost its time."
_AUDIT = "What happened cannot be told afterwards."
_OUTSIDE = "Everybody who reaches the node can ask it."
_UNCHECKED = "What is dangerous is let in."
_RIGHTS = "Rights are wider than anybody granted."
_TOKENS = "Tokens are not checked, or cannot be renewed."
_IMAGES = "Pods use private images that others pulled to the node."
_NODES = "A node that is broken into can change the others."
_PLAIN = "Secrets lie in the store unencrypted."
_FULL = "Pods that ended fill the store."
_WEAK = "Traffic can be read by whoever records it and breaks the cipher."
_IDLE = "Connections that nobody uses stay open until there is no room for others."
_NO_ROTATION = "-RotateKubeletServerCertificate=false"
_PLUGINS = "enable-admission-plugins"
_ROWS = {
    "kube-apiserver": (
        ("anonymous-auth", "=false", _NAMELESS, "CKV_K8S_68 C-0113"),
        ("basic-auth-file", "unset", _PASSWORDS, "CKV_K8S_69"),
        ("token-auth-file", "unset", _PASSWORDS, "CKV_K8S_70 C-0114"),
        ("kubelet-https", "!=false", _CLEAR, "CKV_K8S_71"),
        ("kubelet-client-certificate kubelet-client-key", "set", _CLEAR, "CKV_K8S_72 C-0116"),
        ("kubelet-certificate-authority", "set", _CLEAR, "CKV_K8S_73 C-0117"),
        ("authorization-mode", "-AlwaysAllow", _RIGHTS, "CKV_K8S_74 C-0118"),
        ("authorization-mode", "+Node", _RIGHTS, "CKV_K8S_75 C-0119"),
        ("authorization-mode", "+RBAC", _RIGHTS, "CKV_K8S_77 C-0120"),
        (_PLUGINS, "+EventRateLimit", "Events can drown it.", "C-0121"),
        (_PLUGINS, "-AlwaysAdmit", _UNCHECKED, "CKV_K8S_79 C-0122"),
        (_PLUGINS, "+AlwaysPullImages", _IMAGES, "CKV_K8S_80 C-0123"),
        ("disable-admission-plugins", "-ServiceAccount", _UNCHECKED, "C-0125"),
        ("disable-admission-plugins", "-NamespaceLifecycle", _UNCHECKED, "C-0126"),
        (_PLUGINS, "+NodeRestriction", _NODES, "CKV_K8S_85 C-0127"),
        ("insecure-bind-address", "unset", _OUTSIDE, "CKV_K8S_86"),
        ("insecure-port", "=0", _OUTSIDE, "CKV_K8S_88"),
        ("secure-port", "!=0", _CLEAR, "CKV_K8S_89 C-0128"),
        ("profiling", "=false", _PROFILE, "CKV_K8S_90 C-0129"),
        ("audit-log-path", "set", _AUDIT, "CKV_K8S_91 C-0130 C-0067"),
        ("audit-log-maxage", ">=30", _AUDIT, "CKV_K8S_92 C-0131"),
        ("audit-log-maxbackup", ">=10", _AUDIT, "CKV_K8S_93 C-0132"),
        ("audit-log-maxsize", ">=100", _AUDIT, "CKV_K8S_94 C-0133"),
        ("service-account-lookup", "=true", _TOKENS, "CKV_K8S_96 C-0135"),
        ("service-account-key-file", "set", _TOKENS, "C-0136"),
        ("etcd-certfile etcd-keyfile", "set", _CLEAR, "CKV_K8S_99 C-0137"),
        ("tls-cert-file tls-private-key-file", "set", _CLEAR, "CKV_K8S_100 C-0138"),
        ("client-ca-file", "set", _CLEAR, "C-0139"),
        ("etcd-cafile", "set", _CLEAR, "CKV_K8S_102 C-0140"),
        ("encryption-provider-config", "set", _PLAIN, "CKV_K8S_104 C-0141 C-0066"),
        ("tls-cipher-suites", "strong", _WEAK, "CKV_K8S_105"),
    ),
    "kube-controller-manager": (
        ("terminated-pod-gc-threshold", ">=1", _FULL, "CKV_K8S_106 C-0144"),
        ("profiling", "=false", _PROFILE, "CKV_K8S_107 C-0145"),
        ("use-service-account-credentials", "=true", _RIGHTS, "CKV_K8S_108 C-0146"),
        ("service-account-private-key-file", "set", _TOKENS, "C-0147"),
        ("root-ca-file", "set", _CLEAR, "C-0148"),
        ("bind-address", "=127.0.0.1", _OUTSIDE, "CKV_K8S_113 C-0150"),
        ("feature-gates", _NO_ROTATION, _TOKENS, "CKV_K8S_112"),
    ),
    "kube-scheduler": (
        ("profiling", "=false", _PROFILE, "CKV_K8S_114 C-0151"),
        ("bind-address", "=127.0.0.1", _OUTSIDE, "CKV_K8S_115 C-0152"),
    ),
    "etcd": (
        ("cert-file key-file", "set", _CLEAR, "CKV_K8S_116 C-0153"),
        ("client-cert-auth", "=true", _NAMELESS, "CKV_K8S_117 C-0154"),
        ("auto-tls", "!=true", _CLEAR, "CKV_K8S_118 C-0155"),
        ("peer-cert-file peer-key-file", "set", _CLEAR, "CKV_K8S_119 C-0156"),
        ("peer-client-cert-auth", "=true", _NAMELESS, "CKV_K8S_121 C-0157"),
        ("peer-auto-tls", "!=true", _CLEAR, "C-0158"),
    ),
    "kubelet": (
        ("anonymous-auth", "=false", _NAMELESS, "CKV_K8S_138"),
        ("authorization-mode", "-AlwaysAllow", _RIGHTS, "CKV_K8S_139"),
        ("client-ca-file", "set", _NAMELESS, "CKV_K8S_140"),
        ("read-only-port", "=0", _OUTSIDE, "CKV_K8S_141"),
        ("protect-kernel-defaults", "=true", _UNCHECKED, "CKV_K8S_144"),
        ("make-iptables-util-chains", "!=false", _UNCHECKED, "CKV_K8S_145"),
        ("hostname-override", "unset", _TOKENS, "CKV_K8S_146"),
        ("tls-cert-file tls-private-key-file", "set", _CLEAR, "CKV_K8S_148"),
        ("rotate-certificates", "!=false", _TOKENS, "CKV_K8S_149"),
        ("feature-gates", _NO_ROTATION, _TOKENS, "CKV_K8S_112"),
        ("streaming-connection-idle-timeout", "!=0", _IDLE, "CKV_K8S_143"),
        ("tls-cipher-suites", "strong", _WEAK, "CKV_K8S_151"),
    ),
}  # fmt: skip
FLAGS = {program: tuple(FlagRow(*row) for row in rows) for program, rows in _ROWS.items()}
"""Program -> its flags."""
