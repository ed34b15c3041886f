"""Pod addresses: unique among the simulated pods, and reachable by nobody."""

import ipaddress

from pilothouse.models.errors import TemporaryError

POD_NETWORK = ipaddress.IPv4Network("10.244.0.0/16")


class AddressPool:
    """Hands out addresses in order, and an old one only after all others."""

    def __init__(self, network: ipaddress.IPv4Network = POD_NETWORK) -> None:
        self._network = network
        self._used: set[str] = set()
        self._last = 0

    def claim(self, preferred: str = "") -> str:
        """Take an address.

        Args:
            preferred: one that the pod already has; kept unless another pod has it too.

        Raises:
            TemporaryError: `ClusterUnavailable`, every address is in use.
        """
        if preferred and preferred not in self._used:
            self._used.add(preferred)
            return preferred
        size = self._network.num_addresses
        for _ in range(size):
            self._last = self._last % (size - 2) + 1  # neither the network nor its broadcast
            address = str(self._network[self._last])
            if address not in self._used:
                self._used.add(address)
                return address
        raise TemporaryError("ClusterUnavailable", f"no free pod address in {self._network}")

    def release(self, address: str) -> None:
        """Give an address back."""
        self._used.discard(address)
