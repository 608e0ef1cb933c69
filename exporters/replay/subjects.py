"""Which workloads of a recording a policy is for, where the export's index says whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ethogram.contracts.keys import WorkloadKey, parse_workload_key
from ethogram.errors import ExportError
from exporters.replay.protocol import Policy

__all__ = ["of_workloads"]


def of_workloads(
    policies: Sequence[Policy], keys: Mapping[int, WorkloadKey]
) -> dict[int, list[Policy]]:
    """Return for each number in *keys* the policies that are for that workload.

    As baselines apply, by kind, name and container, whatever the cluster and the digest. A policy
    of a namespace in which the recording has such a workload is for that one; else it is for those
    of that name in any namespace. A policy without a workload's key is for all.
    """
    known = [(policy, _key(policy)) for policy in policies]
    at_home = {
        number
        for number, (_, own) in enumerate(known)
        if own is not None
        and any(_is_alike(own, key) and own.namespace == key.namespace for key in keys.values())
    }
    return {
        number: [
            policy
            for place, (policy, own) in enumerate(known)
            if own is None
            or (_is_alike(own, key) and (place not in at_home or own.namespace == key.namespace))
        ]
        for number, key in keys.items()
    }


def _is_alike(one: WorkloadKey, other: WorkloadKey) -> bool:
    return (one.kind, one.name, one.container, one.container_kind) == (
        other.kind,
        other.name,
        other.container,
        other.container_kind,
    )


def _key(policy: Policy) -> WorkloadKey | None:
    if policy.workload_key is None:
        return None
    try:
        return parse_workload_key(policy.workload_key)
    except ValueError as error:
        raise ExportError(
            f"the index says of `{policy.path}` that it is for no workload: {error}"
        ) from error
