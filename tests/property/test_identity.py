"""Nothing that a host holds makes the resolver raise, or gives a name that is not one line."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethogram.contracts.keys import parse_workload_key
from ethogram.errors import UsageError
from profiler.identity import Inventory, Resolver
from profiler.identity.cgroups import name_of
from tests.hosts import CRI, CRIO, HEX, POD_UID, Host

pytestmark = pytest.mark.property

TEXT = st.text(st.characters(), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def shaped(*names):
    """Objects that have some of *names*, so that what is read is often there and often wrong."""
    values = JSON | st.dictionaries(st.sampled_from(names), JSON, max_size=4)
    return st.dictionaries(st.sampled_from(names) | TEXT, values, max_size=6)


STATE = shaped("config", "labels", "cgroup_paths", "", "init_process_pid", "cgroup-path", "bundle")
CONFIG = shaped("annotations", *CRI, *CRIO)
DOCKER = shaped("Name", "Config", "Image", "Labels", "State", "Pid", "ImageManifest", "digest")
ROWS = st.lists(shaped("id", "names", "metadata", "image", "digest"), max_size=3) | JSON
COMPONENT = st.sampled_from(
    ["docker", "default", "k8s.io", HEX, f"libpod-{HEX}.scope", f"pod{POD_UID}", "user.slice",
     "user-1000.slice", "session-1.scope", "system.slice", "a.service", "..", f"crio-{HEX}"]
) | TEXT  # fmt: skip
PATHS = st.lists(COMPONENT, max_size=6).map("/".join) | TEXT


@given(PATHS, STATE, CONFIG, DOCKER, ROWS, st.integers(0, 2**64 - 1))
def test_whatever_a_host_holds_gets_a_name(path, state, config, docker, rows, number):
    with tempfile.TemporaryDirectory() as directory:
        host = Host(Path(directory))
        store = "/var/lib/containers/storage"
        host.write(f"/run/runc/{HEX}/state.json", state)
        host.write("/run/crun/web/status", state)
        host.write("/run/crun/web/config.json", config)
        host.write(f"{store}/overlay-containers/{HEX}/userdata/config.json", config)
        host.write(f"{store}/overlay-containers/containers.json", json.dumps(rows))
        host.write(f"{store}/overlay-images/images.json", json.dumps(rows))
        host.write(f"/var/lib/docker/containers/{HEX}/config.v2.json", docker)
        resolver = Resolver(Path(directory))
        resolver.prefetch()
        identity = resolver.resolve(path, cgroup_id=number, mntns=1, pid=1)
    assert identity.name.isprintable()
    assert len(identity.name) <= 512
    assert parse_workload_key(identity.workload_key).name == identity.name


@given(PATHS)
def test_every_path_says_something(path):
    name = name_of(path)
    assert name.kind in ("container", "pod", "unit", "session", "cgroup", "root")
    assert name_of(name.cgroup).kind == name.kind


@given(JSON | st.fixed_dictionaries({"kind": st.just("List"), "items": st.lists(JSON)}))
def test_an_inventory_is_read_or_refused(document):
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "inventory.json")
        file.write_text(json.dumps(document))
        with suppress(UsageError):
            assert Inventory.load(file).addresses() is not None
