"""The tables of docs/reference/rules.md that are made from the rules.

    python -m tests.docs.rule_tables

writes them anew; a test compares.
"""

import re
from collections.abc import Iterable

from pilothouse.gitops.validation import exceptions, pod_security
from pilothouse.gitops.validation.policy_rules import POLICY_RULES
from pilothouse.gitops.validation.reliability import (
    autoscaling,
    disruption,
    images,
    metadata,
    pods,
    probes,
    quotas,
    replicas,
    resources,
    traffic,
    workloads,
)
from pilothouse.gitops.validation.rules import RULES, Rule
from pilothouse.gitops.validation.security import (
    accounts,
    confinement,
    containers,
    credentials,
    flags,
    namespaces,
    network,
    node_access,
    rbac,
)
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "reference" / "rules.md"
GROUPS: dict[str, tuple[Rule, ...]] = {
    "pod-security": pod_security.RULES,
    "containers": containers.RULES,
    "confinement": confinement.RULES,
    "node-access": node_access.RULES,
    "accounts": accounts.RULES,
    "credentials": credentials.RULES,
    "rbac": rbac.RULES,
    "network": network.RULES,
    "namespaces": namespaces.RULES,
    "flags": flags.RULES,
    "images": images.RULES,
    "resources": resources.RULES,
    "probes": probes.RULES,
    "replicas": replicas.RULES,
    "disruption": disruption.RULES,
    "autoscaling": autoscaling.RULES,
    "quotas": quotas.RULES,
    "workloads": workloads.RULES,
    "pods": pods.RULES,
    "traffic": traffic.RULES,
    "metadata": metadata.RULES,
    "own": POLICY_RULES,
    "exceptions": exceptions.RULES,
}
TOOLS = ("kubescape", "polaris", "kube-linter", "kube-score", "checkov", "pod-security")
_MARKED = re.compile(r"(<!-- rules: ([a-z-]+) -->\n)(?:\|.*\n)*")


def _table(rules: Iterable[Rule]) -> str:
    lines = ["| rule | severity | what | why it matters | what to do |", "| --- |" + " --- |" * 4]
    lines += [f"| `{r.id}` | {r.severity} | {r.title} | {r.why} | {r.fix} |" for r in rules]
    return "".join(f"{line}\n" for line in lines)


def _counterparts() -> str:
    lines = [f"| rule | {' | '.join(TOOLS)} |", "| --- |" + " --- |" * len(TOOLS)]
    for rule in RULES:
        if rule.counterparts:
            assert set(rule.counterparts) <= set(TOOLS), rule.id
            cells = (
                ", ".join(f"`{name}`" for name in rule.counterparts.get(tool, ())) for tool in TOOLS
            )
            lines.append(f"| `{rule.id}` | {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


def written_anew(text: str) -> str:
    """A page with the table below each mark made from the rules."""

    def filled(match: re.Match[str]) -> str:
        name = match[2]
        return match[1] + (_counterparts() if name == "counterparts" else _table(GROUPS[name]))

    return _MARKED.sub(filled, text)


if __name__ == "__main__":
    PAGE.write_text(written_anew(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
