"""Nothing that was recorded of a unit is refused by the drop-in that is exported from it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.contracts.escape import escape_pattern
from ethogram.contracts.policy_systemd import parse_drop_in
from ethogram.contracts.syscall_names import names_of
from ethogram.contracts.tables import ENUMS
from tests.systemd import allows, export, make_unit

pytestmark = pytest.mark.property

KNOWN = sorted(names_of("x86_64"))
PLACES = ("/", "/etc/", "/usr/lib/", "/home/u/", "/root/", "/tmp/", "/run/", "/run/user/1/",
          "/var/lib/a/", "/var/lib/b/", "/srv/", "/proc/sys/vm/", "/sys/fs/cgroup/", "/dev/",
          "/dev/sd", "/lib/modules/")  # fmt: skip
names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=4)
paths = st.tuples(st.sampled_from(PLACES), st.lists(names, min_size=1, max_size=3)).map(
    lambda parts: parts[0] + escape_pattern("/".join(parts[1]))
)
letters = st.sets(st.sampled_from("rwxctandlp")).map(
    lambda chosen: "".join(letter for letter in "rwxctandlp" if letter in chosen)
)
sockets = st.one_of(
    st.builds(
        lambda protocol, address, port: {"protocol": protocol, "address": address, "port": port},
        st.sampled_from(["tcp", "udp", "sctp"]),
        st.sampled_from(["0.0.0.0", "::1"]),
        st.none() | st.integers(1, 65535),
    ),
    st.sampled_from(["netlink", "packet"]).map(lambda word: {"protocol": word, "address": ""}),
)
OBSERVED = st.fixed_dictionaries(
    {
        "runs_as": st.sampled_from([None, (0,), (33,), (0, 33)]),
        "privileges_gained": st.sampled_from([None, True, False]),
        "file_changes": st.sampled_from([None, True]),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    calls=st.sets(st.sampled_from(KNOWN), min_size=1, max_size=12),
    capabilities=st.sets(st.sampled_from(sorted(CAPABILITIES)), max_size=3),
    files=st.dictionaries(paths, letters, max_size=6),
    listens=st.lists(sockets, max_size=3, unique_by=str),
    operations=st.sets(st.sampled_from(sorted(ENUMS["operation"])), max_size=3),
    observed=OBSERVED,
    how=st.sampled_from(["deny", "allow"]),
)
def test_nothing_that_was_seen_is_refused(
    calls: set[str],
    capabilities: set[str],
    files: dict[str, str],
    listens: list[dict[str, Any]],
    operations: set[str],
    observed: dict[str, Any],
    how: str,
) -> None:
    baseline = make_unit(
        *sorted(capabilities), calls=sorted(calls), files=files, listens=listens,
        operations=sorted(operations), **observed,
    )  # fmt: skip
    (artifact,), findings = export(baseline, f"filter={how}")
    policy = parse_drop_in(artifact.content.decode())
    named = {finding.subject for finding in findings}
    refused = [
        rule
        for _, rule in baseline.rules.all()
        if rule.id not in named and not allows(policy, rule)
    ]
    assert refused == []
