"""Workload identity: from a cgroup and a mount namespace to a name, and where the name is from.

A `Resolver` is asked once for each cgroup; what it returns is the only identity that the rest of
the program sees. An `Inventory` tells it the owners of pods, and whose an address is.
"""

from profiler.identity.addresses import Address, AddressPort
from profiler.identity.hierarchy import Hierarchy, ProcessCgroups
from profiler.identity.inventory import Inventory
from profiler.identity.model import Identity
from profiler.identity.resolver import GRACE_S, Resolver

__all__ = [
    "GRACE_S",
    "Address",
    "AddressPort",
    "Hierarchy",
    "Identity",
    "Inventory",
    "ProcessCgroups",
    "Resolver",
]
