"""Security rules: each one, on something that violates it and on something close that does not."""

from collections.abc import Mapping
from typing import Any

import pytest

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.places import Place
from pilothouse.gitops.validation import security
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.security.flag_table import FLAGS
from pilothouse.models.objects import Manifest

Body = dict[str, Any]
HARDENED: Body = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
POD_HARDENED: Body = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
RBAC = "rbac.authorization.k8s.io"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"


def found(*bodies: Body, namespace: str = "") -> set[str]:
    manifests = [
        LoadedManifest(Manifest(file="a.yaml", line=1, body=body), Place(1)) for body in bodies
    ]
    objects = ObjectSet(manifests, namespace=namespace)
    return {finding.rule for check in security.CHECKS for finding in check(objects)}


def thing(kind: str, api_version: str = "v1", name: str = "x", **fields: Any) -> Body:
    metadata = {"name": name} | fields.pop("metadata", {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def pod(
    container: Body | None = None,
    context: Body | None = None,
    annotations: Mapping[str, str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> Body:
    """A pod that no rule has anything against, but for what the test changes."""
    hardened: Body = {"name": "api", "image": "x:1", "securityContext": HARDENED}
    metadata = {
        "namespace": "shop", "labels": dict(labels or {"app": "x"}),
        "annotations": dict(annotations or {}),
    }  # fmt: skip
    body: Body = {
        "serviceAccountName": "x",
        "automountServiceAccountToken": False,
        "securityContext": POD_HARDENED if context is None else context,
        "containers": [hardened | (container or {})],
    } | spec
    return thing("Pod", metadata=metadata, spec=body)


def secured(**fields: Any) -> Body:
    """A container with these fields of its security context set, or removed by None."""
    context = {k: v for k, v in (HARDENED | fields).items() if v is not None}
    return {"securityContext": context}


def mounted(path: str, *, read_only: bool = True) -> Body:
    mount = {"name": "v", "mountPath": "/v", "readOnly": read_only}
    return pod(
        {"volumeMounts": [mount]}, volumes=[{"name": "v", "hostPath": {"path": path}}]
    )  # fmt: skip


def adds(*names: str) -> Body:
    return pod(secured(capabilities={"drop": ["ALL"], "add": list(names)}))


def env(name: str, value: str) -> Body:
    return pod({"env": [{"name": name, "value": value}]})


def config(**data: str) -> Body:
    return thing("ConfigMap", metadata={"namespace": "shop"}, data=data)


def policy(*types: str, app: str = "x", rules: tuple[str, ...] = ("ingress", "egress")) -> Body:
    spec: Body = {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": list(types)}
    metadata = {"namespace": "shop"}
    spec |= {name: [{}] for name in rules}
    return thing("NetworkPolicy", "networking.k8s.io/v1", metadata=metadata, spec=spec)


def service(**spec: Any) -> Body:
    return thing("Service", metadata={"namespace": "shop"}, spec=spec)


def ingress(annotations: Body | None = None, **spec: Any) -> Body:
    metadata = {"namespace": "shop", "annotations": annotations or {}}
    return thing("Ingress", "networking.k8s.io/v1", metadata=metadata, spec=spec)


def role(resources: str, verbs: str, group: str = "", kind: str = "ClusterRole") -> Body:
    rule = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return thing(kind, f"{RBAC}/v1", metadata={"namespace": "shop"}, rules=[rule])


ACCOUNT = {"kind": "ServiceAccount", "name": "own", "namespace": "shop"}


def binding(
    name: str = "x", subject: Body | None = None, kind: str = "ClusterRoleBinding",
    role_kind: str = "ClusterRole",
) -> Body:  # fmt: skip
    who = subject or {"kind": "User", "name": "eve"}
    reference = {"apiGroup": RBAC, "kind": role_kind, "name": name}
    metadata = {"name": "bound", "namespace": "shop"}
    return thing(kind, f"{RBAC}/v1", metadata=metadata, roleRef=reference, subjects=[who])


def namespace(level: str | None) -> Body:
    labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    return thing("Namespace", name="shop", metadata={"labels": labels})


def account(name: str, *, mounts: bool | None) -> Body:
    body = thing("ServiceAccount", name=name, metadata={"namespace": "shop"})
    return body if mounts is None else body | {"automountServiceAccountToken": mounts}


def snippet(text: str) -> Body:
    return ingress({"nginx.ingress.kubernetes.io/server-snippet": text}, tls=[{}])


def init(**fields: Any) -> Body:
    """A pod with a second, an init container with these fields of its security context."""
    first = {"name": "first", "image": "x:1"} | secured(**fields)
    return pod(initContainers=[first], context={})


CASES: dict[str, tuple[list[Body], list[Body]]] = {
    "container-privileged": ([pod(secured(privileged=True))], [pod(secured(privileged=False))]),
    "privilege-escalation": (
        [pod(secured(allowPrivilegeEscalation=None))],
        [pod(secured(allowPrivilegeEscalation=True))],
    ),
    "privilege-escalation-granted": (
        [pod(secured(allowPrivilegeEscalation=True))],
        [pod(secured(allowPrivilegeEscalation=None))],
    ),
    "run-as-root": ([pod(context={})], [pod(context={"runAsUser": 1})]),
    "init-run-as-root": (
        [init(runAsNonRoot=None, runAsUser=None)], [init(runAsNonRoot=None, runAsUser=1)]
    ),
    "init-user-id-low": ([init(runAsUser=9999)], [init(runAsUser=10000)]),
    "user-id-low": ([pod(context={"runAsUser": 9999})], [pod()]),
    "group-id-low": (
        [pod(context=POD_HARDENED | {"runAsGroup": 9999})],
        [pod(context={"runAsUser": 9999})],
    ),
    "root-filesystem-writable": ([pod(secured(readOnlyRootFilesystem=None))], [pod()]),
    "proc-unmasked": ([pod(secured(procMount="Unmasked"))], [pod(secured(procMount="Default"))]),
    "security-context-missing": ([pod({"securityContext": {}})], [pod()]),
    "windows-host-process": (
        [pod(context={"windowsOptions": {"hostProcess": True}})],
        [pod(context={"windowsOptions": {"hostProcess": False}})],
    ),
    "capabilities-not-dropped": (
        [pod(secured(capabilities={"drop": ["KILL"]}))],
        [pod(secured(capabilities={"drop": ["all"]}))],
    ),
    "capability-net-raw": (
        [pod(secured(capabilities={"drop": ["KILL"]}))],
        [pod(secured(capabilities={"drop": ["NET_RAW"]}))],
    ),
    "capability-sys-admin": ([adds("sys_admin")], [adds("NET_ADMIN")]),
    "capability-admin": ([adds("ALL")], [adds("SYS_ADMIN")]),
    "capability-dangerous": ([adds("SYS_PTRACE")], [adds("CHOWN")]),
    "capability-added": ([adds("NET_BIND_SERVICE")], [pod()]),
    "seccomp-annotation": (
        [pod(context={}, annotations={SECCOMP: "runtime/default"})],
        [pod(context={}, annotations={SECCOMP: "unconfined"})],
    ),
    "seccomp-profile": (
        [pod(secured(seccompProfile={"type": "Unconfined"}))],
        [pod(secured(seccompProfile={"type": "Localhost"}), context={})],
    ),
    "linux-hardening": (
        [pod({"securityContext": {}}, context={})],
        [pod({"securityContext": {}}, context={"seLinuxOptions": {"level": "s0"}})],
    ),
    "sysctl-unsafe": (
        [pod(context={"sysctls": [{"name": "kernel.msgmax"}]})],
        [pod(context={"sysctls": [{"name": "net.ipv4.tcp_syncookies"}]})],
    ),
    "sysctl-set": (
        [pod(context={"sysctls": [{"name": "net.ipv4.tcp_syncookies"}]})],
        [pod(context={"sysctls": [{"name": "kernel.msgmax"}]})],
    ),
    "pod-context-missing": ([pod(context={})], [pod()]),
    "host-network": ([pod(hostNetwork=True)], [pod(hostNetwork=False)]),
    "host-pid": ([pod(hostPID=True)], [pod(hostIPC=True)]),
    "host-ipc": ([pod(hostIPC=True)], [pod(hostPID=True)]),
    "host-port": (
        [pod({"ports": [{"containerPort": 80, "hostPort": 80}]})],
        [pod({"ports": [{"containerPort": 80, "hostPort": 0}]})],
    ),
    "host-path": ([mounted("/srv/data")], [pod(volumes=[{"name": "v", "emptyDir": {}}])]),
    "host-path-sensitive": ([mounted("/etc/")], [mounted("/etcetera")]),
    "runtime-socket": ([mounted("/run/containerd/containerd.sock")], [mounted("/srv/a.sock")]),
    "docker-socket": ([mounted("/var/run/docker.sock")], [mounted("/srv/dockers")]),
    "host-path-cloud-credentials": ([mounted("/root/.aws")], [mounted("/root/aws")]),
    "host-path-writable": ([mounted("/srv", read_only=False)], [mounted("/srv")]),
    "process-namespace-shared": ([pod(shareProcessNamespace=True)], [pod()]),
    "user-namespace-off": ([pod(hostUsers=True)], [pod(hostUsers=False)]),
    "service-account-token": (
        [pod(automountServiceAccountToken=None)],
        [pod(automountServiceAccountToken=None), account("x", mounts=False)],
    ),
    "service-account-token-unsaid": (
        [pod(automountServiceAccountToken=None), account("x", mounts=False)],
        [pod(), account("x", mounts=False)],
    ),
    "service-account-default": (
        [pod(automountServiceAccountToken=None, serviceAccountName="default")],
        [pod(automountServiceAccountToken=None)],
    ),
    "service-account-automount": ([account("x", mounts=None)], [account("x", mounts=False)]),
    "service-account-default-automount": (
        [account("default", mounts=True)],
        [account("default", mounts=False)],
    ),
    "env-secret": ([env("CLIENT_SECRET", "abc")], [env("CLIENT_SECRET", "$(OTHER)")]),
    "env-credential": (
        [env("DB_PASSWORD", "abc"), env("URL", "postgres://u:p4ss@db/x")],
        [env("URL", "postgres://db/x")],
    ),
    "env-sensitive-name": ([env("SIGNING_KEY", "abcdefgh")], [env("USE_KEY", "true")]),
    "configmap-credential": (
        [config(notes="-----BEGIN RSA PRIVATE KEY-----\nx")],
        [config(notes="-----BEGIN CERTIFICATE-----\nx")],
    ),
    "configmap-sensitive-name": ([config(api_key="abcdefgh")], [config(color="blue")]),
    "argument-credential": (
        [pod({"args": ["--db-password=abc123"]})],
        [pod({"args": ["--db-password=$(PASSWORD)", "--token-file=/run/x", "--secret=/run/s"]})],
    ),
    "secret-as-variable": (
        [pod({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]})],
        [pod({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "x"}}}]})],
    ),
    "secret-as-variables": (
        [pod({"envFrom": [{"secretRef": {"name": "x"}}]})],
        [pod({"envFrom": [{"configMapRef": {"name": "x"}}]})],
    ),
    "sudo-in-command": (
        [pod({"command": ["sh", "-c", "sudo ls"]})],
        [pod({"command": ["pseudo"]})],
    ),
    "rbac-wildcard": ([role("pods", "*")], [role("pods", "get")]),
    "rbac-wildcard-group": ([role("pods", "get", "*")], [role("pods", "get")]),
    "rbac-everything": ([role("*", "*", "*")], [role("*", "get", "*")]),
    "rbac-cluster-admin": (
        [role("*", "*", "*"), binding()],
        [role("*", "*", "*"), binding(kind="RoleBinding")],
    ),
    "rbac-namespace-admin": (
        [role("*", "*", "*"), binding(kind="RoleBinding")],
        [role("*", "*", "*"), binding()],
    ),
    "rbac-role-admin": (
        [role("*", "*", "*", "Role"), binding(kind="RoleBinding", role_kind="Role")],
        [role("*", "*", "apps", "Role"), binding(kind="RoleBinding", role_kind="Role")],
    ),
    "rbac-cluster-admin-role": ([binding("cluster-admin")], [binding("view")]),
    "rbac-account-everything": (
        [binding("cluster-admin", ACCOUNT)], [binding("cluster-admin")]
    ),
    "rbac-anonymous": (
        [binding(subject={"kind": "Group", "name": "system:unauthenticated"})],
        [binding(subject={"kind": "Group", "name": "system:authenticated"})],
    ),
    "rbac-authenticated": (
        [binding(subject={"kind": "Group", "name": "system:authenticated"})],
        [binding(subject={"kind": "Group", "name": "developers"})],
    ),
    "rbac-masters": (
        [binding(subject={"kind": "Group", "name": "system:masters"})],
        [binding(subject={"kind": "Group", "name": "masters"})],
    ),
    "rbac-default-account": (
        [binding(subject={"kind": "ServiceAccount", "name": "default"})],
        [binding(subject={"kind": "User", "name": "default"})],
    ),
    "network-policy-missing": (
        [pod(), policy("Ingress", "Egress", app="y")],
        [pod(), policy("Ingress", "Egress")],
    ),
    "network-policy-one-way": ([pod(), policy("Ingress")], [pod(), policy("Ingress", "Egress")]),
    "network-policy-closed": (
        [pod(), policy("Ingress", "Egress", rules=("egress",))],
        [pod(), policy("Ingress"), policy("Egress")],
    ),
    "service-exposed": ([service(type="LoadBalancer")], [service(type="ClusterIP")]),
    "service-node-port": ([service(type="NodePort")], [service(type="LoadBalancer")]),
    "service-external-ip": ([service(externalIPs=["192.0.2.1"])], [service()]),
    "ssh-port": (
        [pod({"ports": [{"containerPort": 22}]})],
        [pod({"ports": [{"containerPort": 22, "protocol": "UDP"}]})],
    ),
    "ssh-service": (
        [service(ports=[{"port": 80, "targetPort": 2222}])],
        [service(ports=[{"port": 80, "targetPort": "ssh"}])],
    ),
    "privileged-port": (
        [pod({"ports": [{"containerPort": 1023}]})],
        [pod({"ports": [{"containerPort": 1024}]})],
    ),
    "ingress-without-tls": ([ingress()], [ingress(tls=[{"hosts": ["x"]}])]),
    "ingress-snippet": ([snippet("more_set_headers x;")], [ingress(tls=[{}])]),
    "ingress-snippet-lua": ([snippet("content_by_lua_block {}")], [snippet("return 200;")]),
    "ingress-snippet-alias": ([snippet("alias /etc/;")], [snippet("aliases;")]),
    "name-server-own": ([pod(dnsConfig={"nameservers": ["192.0.2.1"]})], [pod(dnsConfig={})]),
    "namespace-default": (
        [thing("Service", metadata={"namespace": "default"})],
        [thing("Service", metadata={"namespace": "shop"})],
    ),
    "namespace-not-enforced": ([namespace(None)], [namespace("baseline")]),
    "namespace-not-restricted": ([namespace("baseline")], [namespace("restricted")]),
    "namespace-without-policy": (
        [namespace("restricted")],
        [namespace("restricted"), policy("Ingress")],
    ),
    "webhook-validating": (
        [thing("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1")],
        [thing("MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1")],
    ),
    "webhook-mutating": (
        [thing("MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1")],
        [thing("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1")],
    ),
    "dashboard-deployed": ([pod({"image": "x/kubernetes-dashboard:1"})], [pod()]),
    "tiller-reachable": (
        [pod({"image": "x/tiller:2"})],
        [pod({"image": "x/tiller:2", "args": ["--listen=localhost:44134"]})],
    ),
    "tiller-deployed": (
        [pod({"args": ["--listen=127.0.0.1:44134"]}, labels={"name": "tiller"})], [pod()]
    ),
    "tiller-service": (
        [thing("Service", name="tiller-deploy")],
        [thing("Service", name="deploy")],
    ),
    "git-sync-command": (
        [pod({"image": "x/git-sync:4", "env": [{"name": "GITSYNC_GIT", "value": "/x"}]})],
        [pod({"image": "x/git-sync:4", "env": [{"name": "GITSYNC_REF", "value": "main"}]})],
    ),
}  # fmt: skip
POWERS = {
    "secrets": role("secrets", "list"),
    "secrets-write": role("secrets", "create"),
    "pod-exec": role("pods/exec", "create"),
    "port-forward": role("pods/portforward", "create"),
    "create-pods": role("pods", "create"),
    "create-workloads": role("deployments", "create", "apps"),
    "create-jobs": role("cronjobs", "create", "batch"),
    "delete-workloads": role("services", "delete"),
    "delete-controllers": role("statefulsets", "deletecollection", "apps"),
    "delete-events": role("events", "delete"),
    "impersonate": role("users", "impersonate"),
    "escalate": role("clusterroles", "escalate", RBAC),
    "bind": role("roles", "bind", RBAC),
    "bind-bindings": role("rolebindings", "bind", RBAC),
    "change-bindings": role("rolebindings", "create", RBAC),
    "webhooks": role(
        "mutatingwebhookconfigurations", "update", "admissionregistration.k8s.io"
    ),
    "certificates": role(
        "certificatesigningrequests/approval signers", "update approve", "certificates.k8s.io"
    ),
    "certificate-approval": role(
        "certificatesigningrequests/approval", "patch", "certificates.k8s.io"
    ),
    "nodes-proxy": role("nodes/proxy", "get"),
    "tokens": role("serviceaccounts/token", "create"),
    "persistent-volumes": role("persistentvolumes", "create"),
    "change-configmaps": role("configmaps", "patch"),
    "service-status": role("services/status", "patch"),
}  # fmt: skip
ACCOUNT_POWERS = (
    "secrets", "pod-exec", "impersonate", "bind-bindings", "nodes-proxy", "service-status",
)  # fmt: skip


def test_each_security_rule_has_a_case() -> None:
    powers = {f"rbac-{name}{end}" for name in POWERS for end in ("", "-bound")}
    powers |= {rule.id for power in security.powers.POWERS for rule in power.rules[2:]}
    flags = {rule.id for rule in security.flags.RULES}
    assert {*CASES, *powers, *flags} == {rule.id for rule in security.RULES}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_tells_a_violation_and_not_what_is_close_to_one(rule: str) -> None:
    violating, passing = CASES[rule]
    assert rule in found(*violating)
    assert rule not in found(*passing)


@pytest.mark.parametrize("power", POWERS)
def test_a_power_is_told_of_the_role_and_of_who_is_given_it(power: str) -> None:
    granting = POWERS[power]
    assert f"rbac-{power}" in found(granting)
    assert {f"rbac-{power}", f"rbac-{power}-bound"} <= found(granting, binding())
    [rule] = granting["rules"]
    harmless = granting | {"rules": [rule | {"verbs": ["deletecollections"]}]}
    assert found(harmless, binding()) == set()
    foreign = granting | {"rules": [rule | {"apiGroups": ["example.com"]}]}
    assert found(foreign, binding()) == set()


def command(program: str, **flags: str) -> Body:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
    return pod({"command": [program, *words]})


@pytest.mark.parametrize("program", FLAGS)
def test_each_flag_of_the_control_plane_is_told_unless_it_is_as_wanted(program: str) -> None:
    good: dict[str, list[str]] = {}
    bad: dict[str, str] = {}
    for row in FLAGS[program]:
        value = row.wanted.lstrip("+-=!>")
        for flag in row.flags.split():
            if row.wanted[0] in "+=>":
                good.setdefault(flag, []).append(value)
            elif row.wanted == "set":
                good[flag] = ["x"]
            elif row.wanted == "unset":
                bad[flag] = "x"
            else:
                bad[flag] = f"{bad[flag]},{value}" if flag in bad else value
    kept = command(program, **{name: ",".join(values) for name, values in good.items()})
    rules = {rule.id for rule in security.flags.RULES}
    assert found(kept) & rules == set()
    assert len(found(command(f"/usr/bin/{program}", **bad)) & rules) == len(FLAGS[program])
    assert found(command("api", **bad)) & rules == set()


def test_a_hardened_pod_with_network_policies_has_no_finding() -> None:
    assert found(pod(), policy("Ingress", "Egress")) == set()


def _with(body: Body, field: str, extra: Body) -> Body:
    return body | {"spec": body["spec"] | {field: [extra]}}


@pytest.mark.parametrize("field", ["initContainers", "ephemeralContainers"])
def test_the_other_kinds_of_containers_are_looked_at_too(field: str) -> None:
    extra = {"name": "extra", "image": "x:1", "securityContext": {"privileged": True}}
    assert "container-privileged" in found(_with(pod(), field, extra))


def test_a_container_inherits_what_its_pod_sets_and_may_override_it() -> None:
    assert "run-as-root" not in found(pod(context={"runAsNonRoot": True}))
    assert "run-as-root" in found(pod(secured(runAsNonRoot=False), context={"runAsNonRoot": True}))
    assert "run-as-root" in found(pod(secured(runAsUser=0)))
    assert "run-as-root" not in found(pod(secured(runAsUser=1), context={"runAsUser": 0}))


def test_an_object_without_a_namespace_goes_where_its_environment_says() -> None:
    assert found(thing("Service")) == {"namespace-default"}
    assert found(thing("Service"), namespace="shop") == set()
    assert found(thing("Service"), namespace="default") == {"namespace-default"}


def test_a_role_that_allows_everything_is_told_once() -> None:
    assert found(role("*", "*", "*")) == {"rbac-everything"}
    assert found(role("*", "*", "*"), binding()) == {"rbac-everything", "rbac-cluster-admin"}


@pytest.mark.parametrize("name", ["system:node", "admin", "cluster-admin"])
def test_the_clusters_own_roles_are_left_out(name: str) -> None:
    own = role("*", "*", "*")
    own["metadata"]["name"] = name
    assert found(own) == set()


@pytest.mark.parametrize(
    ("resource", "rules"),
    [
        ("*", {"rbac-wildcard", "rbac-pod-exec", "rbac-nodes-proxy"}),
        ("pods/*", {"rbac-wildcard", "rbac-pod-exec"}),
        ("*/exec", {"rbac-wildcard", "rbac-pod-exec"}),
        ("pods", set()),
    ],
)
def test_wildcards_of_resources_cover_what_the_api_server_says(
    resource: str, rules: set[str]
) -> None:
    told = found(role(resource, "get"))
    assert told & {"rbac-wildcard", "rbac-pod-exec", "rbac-nodes-proxy"} == rules


def test_no_message_shows_a_credential() -> None:
    secret = "hunter2-hunter2"
    bodies = [
        env("DB_PASSWORD", secret),
        config(db_password=secret),
        pod({"args": [f"--password={secret}"], "command": ["sudo", secret]}),
    ]
    manifests = [
        LoadedManifest(Manifest(file="a.yaml", line=1, body=body), Place(1)) for body in bodies
    ]
    told = [f for check in security.CHECKS for f in check(ObjectSet(manifests))]
    assert {"env-credential", "configmap-credential", "argument-credential"} <= {
        finding.rule for finding in told
    }
    assert not any(secret in finding.model_dump_json() for finding in told)


def test_a_pod_on_windows_is_not_asked_for_what_only_linux_has() -> None:
    linux_only = {"run-as-root", "privilege-escalation", "capabilities-not-dropped"}
    bare: Body = {"securityContext": {}}
    assert linux_only <= found(pod(bare, context={}))
    assert not linux_only & found(pod(bare, context={}, os={"name": "windows"}))


@pytest.mark.parametrize("power", ACCOUNT_POWERS)
def test_a_pod_that_is_given_a_power_is_told_apart_from_a_person(power: str) -> None:
    person, pod_too = f"rbac-{power}-bound", f"rbac-{power}-account"
    assert found(POWERS[power], binding()) & {person, pod_too} == {person}
    assert found(POWERS[power], binding(subject=ACCOUNT)) & {person, pod_too} == {pod_too}


def test_arguments_of_an_image_s_own_program_are_no_program() -> None:
    assert found(pod({"args": ["--kubelet-service=kube-system/kubelet"]})) == found(pod())


def test_admission_plugins_limit_events() -> None:
    version = "apiserver.config.k8s.io/v1"
    limited = thing("AdmissionConfiguration", version, plugins=[{"name": "EventRateLimit"}])
    assert "admission-event-rate-limit" not in found(limited)
    assert "admission-event-rate-limit" in found(thing("AdmissionConfiguration", version))


def test_a_snippet_with_lua_and_alias_is_told_of_both() -> None:
    told = found(snippet("alias /etc/; content_by_lua_block {}"))
    assert {"ingress-snippet-lua", "ingress-snippet-alias"} <= told


@pytest.mark.parametrize(
    ("ciphers", "weak"),
    [
        ("TLS_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", False),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", False),
        ("TLS_AES_128_GCM_SHA256,TLS_RSA_WITH_RC4_128_SHA", True),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", True),
    ],
)
def test_ciphers_are_strong_if_all_of_them_are(ciphers: str, weak: bool) -> None:
    told = found(command("kube-apiserver", **{"tls-cipher-suites": ciphers}))
    assert ("apiserver-tls-cipher-suites" in told) is weak
