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

    As baselines apply, by kind, name and container, whatever the cluster and the digest. Of those
    the ones of its own namespace come first; where none is, a policy of another namespace is meant,
    as long as it is the only one. A policy without a workload's key is for all.
    """
    known = [(policy, _key(policy)) for policy in policies]
    return {number: _those_for(key, known) for number, key in keys.items()}


def _those_for(
    key: WorkloadKey, known: Sequence[tuple[Policy, WorkloadKey | None]]
) -> list[Policy]:
    alike = [(policy, own) for policy, own in known if own is not None and _is_alike(own, key)]
    here = [policy for policy, own in alike if own.namespace == key.namespace]
    elsewhere = {own.namespace for _, own in alike}
    if not here and len(elsewhere) == 1:
        here = [policy for policy, _ in alike]
    return here + [policy for policy, own in known if own is None]


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
