"""A real Kubernetes control plane for one machine, as plain processes.

    binary = await find_control_plane(directory=None, cache=settings.cache_dir, progress=print)
    async with ControlPlane(binary, directory) as cluster:
        kubeconfig = cluster.kubeconfig()

`binaries` finds or makes the programs, `server` runs them, `access` gives the deployer its rights.
"""

from pilothouse.local.controlplane.access import deployer_kubeconfig, grant_environment
from pilothouse.local.controlplane.binaries import Step, explain, find_control_plane
from pilothouse.local.controlplane.programs import ControlPlaneBinary
from pilothouse.local.controlplane.server import ControlPlane, Phase

__all__ = [
    "ControlPlane",
    "ControlPlaneBinary",
    "Phase",
    "Step",
    "deployer_kubeconfig",
    "explain",
    "find_control_plane",
    "grant_environment",
]
