"""What simulated pods are said to use, and which of them a label selector means."""

from typing import Any

import pytest

from pilothouse.local.nodes.usage import node_usage, pod_usage, selects

NOW = 1_800_000_000.0
LABELS = {"app": "web", "tier": "front", "example.com/team": "shop"}


def pod(phase: str = "Running", **requests: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "web-1", "namespace": "shop", "labels": LABELS},
        "spec": {
            "containers": [
                {"name": "web", "resources": {"requests": requests}},
                {"name": "proxy"},
            ]
        },
        "status": {"phase": phase},
    }


def test_a_container_uses_a_tenth_of_what_it_requests_and_else_a_little() -> None:
    usage = pod_usage(pod(cpu="200m", memory="1Gi"), NOW)

    assert usage is not None
    assert usage["metadata"]["labels"] == LABELS
    assert usage["containers"] == [
        {"name": "web", "usage": {"cpu": "20000000n", "memory": "107374182"}},
        {"name": "proxy", "usage": {"cpu": "1000000n", "memory": "8388608"}},
    ]


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
def test_a_pod_that_does_not_run_uses_nothing(phase: str) -> None:
    assert pod_usage(pod(phase), NOW) is None
    assert node_usage("simulated-1", [pod(phase)], NOW)["usage"] == {"cpu": "0n", "memory": "0"}


def test_a_node_uses_what_its_pods_use() -> None:
    usage = node_usage("simulated-1", [pod(cpu="1", memory="0")] * 2, NOW)["usage"]
    assert usage == {"cpu": "202000000n", "memory": "16777216"}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier!=back", True),
        ("app=web,tier=back", False),
        ("app in (api, web),tier notin (back)", True),
        ("app notin (web)", False),
        ("example.com/team", True),
        ("owner", False),
        ("!owner", True),
        ("!app", False),
        ("owner!=me", True),
        ("owner notin (me)", True),
        ("tier=", False),
    ],
)
def test_label_selectors_mean_what_kubernetes_means(selector: str, selected: bool) -> None:
    assert selects(selector, LABELS) is selected


@pytest.mark.parametrize("selector", ["app=web)", "app in web", "=web", "app=a b", "!", "a,,b"])
def test_what_is_no_selector_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match="no label selector"):
        selects(selector, LABELS)
