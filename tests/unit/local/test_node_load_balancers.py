"""Addresses of simulated load balancers: who gets one, which one, and for how long."""

from typing import Any

import pytest

from pilothouse.local.nodes.load_balancers import (
    BALANCER_CLASS,
    BALANCER_NETWORK,
    INGRESS,
    INGRESS_ADDRESS,
    SERVICE,
    Addressing,
    address_of,
    is_ours,
)
from pilothouse.models.errors import TemporaryError


def service(uid: str = "1", *addresses: str, **spec: Any) -> dict[str, Any]:
    entries = [{"ip": address} for address in addresses]
    return {
        "kind": "Service",
        "metadata": {"uid": uid, "name": "web", "namespace": "shop"},
        "spec": {"type": "LoadBalancer", **spec},
        "status": {"loadBalancer": {"ingress": entries} if entries else {}},
    }


def test_a_service_of_type_load_balancer_is_ours() -> None:
    assert is_ours(service())
    assert is_ours(service(loadBalancerClass=BALANCER_CLASS))


@pytest.mark.parametrize(
    "spec",
    [{"type": "ClusterIP"}, {"type": "NodePort"}, {"loadBalancerClass": "service.k8s.aws/nlb"}],
)
def test_other_types_and_foreign_classes_are_left_alone(spec: dict[str, Any]) -> None:
    assert not is_ours(service(**spec))


def test_what_is_being_deleted_gets_nothing() -> None:
    document = service()
    document["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_ours(document)


def test_an_ingress_is_ours_whatever_class_it_names() -> None:
    document = {"kind": "Ingress", "metadata": {"uid": "1"}, "spec": {"ingressClassName": "nginx"}}
    assert is_ours(document)


@pytest.mark.parametrize(
    ("status", "address"),
    [
        ({}, ""),
        ({"loadBalancer": {}}, ""),
        ({"loadBalancer": {"ingress": [{"hostname": "a.example"}]}}, ""),
        ({"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}}, ""),
        ({"loadBalancer": {"ingress": [{"ip": "203.0.113.7", "ipMode": "VIP"}]}}, "203.0.113.7"),
    ],
)
def test_only_a_single_address_counts_as_one(status: dict[str, Any], address: str) -> None:
    assert address_of({"status": status}) == address


def test_each_service_keeps_an_address_of_its_own() -> None:
    addressing = Addressing()
    first, second = addressing.give(service("1")), addressing.give(service("2"))

    assert len({first, second, INGRESS_ADDRESS}) == 3
    assert addressing.give(service("1")) == first
    assert addressing.held() == {"1", "2"}


def test_after_a_restart_nobody_is_given_what_another_has() -> None:
    taken = str(BALANCER_NETWORK[2])
    addressing = Addressing()
    addressing.remember(service("old", taken))

    assert addressing.give(service("new")) != taken
    assert addressing.give(service("old", taken)) == taken


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8::1"])
def test_an_address_from_elsewhere_is_replaced(address: str) -> None:
    addressing = Addressing()
    addressing.remember(service("1", address))

    assert addressing.held() == frozenset()
    assert addressing.give(service("1", address)).startswith("203.0.113.")


def test_two_services_with_one_address_are_told_apart() -> None:
    taken = str(BALANCER_NETWORK[9])
    addressing = Addressing()
    assert addressing.give(service("1", taken)) == taken
    assert addressing.give(service("2", taken)) != taken


def test_addresses_run_out_with_a_word_and_come_back() -> None:
    addressing = Addressing()
    for number in range(BALANCER_NETWORK.num_addresses - 3):
        addressing.give(service(str(number)))
    with pytest.raises(TemporaryError, match=r"no free .*203\.0\.113\.0/24"):
        addressing.give(service("one too many"))

    addressing.take_back("7")
    addressing.take_back("7")
    assert addressing.give(service("one too many"))


def test_the_paths_are_the_api_servers() -> None:
    assert SERVICE.collection == "/api/v1/services"
    assert INGRESS.collection == "/apis/networking.k8s.io/v1/ingresses"
    assert SERVICE.status_path(service()) == "/api/v1/namespaces/shop/services/web/status"
