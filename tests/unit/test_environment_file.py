"""Which files are maps of environments, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

import demo
from demo.shop import PRODUCTION, STAGING
from ethogram.contracts.environment import load_environment, parse_environment
from ethogram.errors import UsageError

pytestmark = pytest.mark.unit

HEAD = "schema: ethogram.map/1\n"


def test_a_map_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "production.yaml"
    file.write_text(
        HEAD
        + "namespaces: {shop-staging: shop}\n"
        + "cidrs:\n"
        + "labels: {app.kubernetes.io/env: {staging: production, '': x}}\n"
    )
    found = load_environment(file)
    assert found.namespaces == {"shop-staging": "shop"}
    assert found.cidrs == {}
    assert found.labels == {"app.kubernetes.io/env": {"staging": "production", "": "x"}}


@pytest.mark.parametrize(
    ("text", "cause", "hint"),
    [
        ("a: [", "is not a map of environments: it is not YAML", "schema: ethogram.map/1"),
        ("a: &x 1\nb: *x\n", "anchors and aliases are not read", "ethogram.map/1"),
        ("", "it is empty", "namespaces: {shop-staging: shop}"),
        ("- a\n", "it is no mapping", "ethogram.map/1"),
        ("namespaces: {a: b}\n", "it has no `schema: ethogram.map/1`", "ethogram.map/1"),
        ("schema: 7\n", "it has no `schema: ethogram.map/1`", "ethogram.map/1"),
        ("schema: ethogram.map/2\n", "this version reads `ethogram.map/1`", "upgrade"),
        (HEAD, "maps nothing", "namespaces: {shop-staging: shop}"),
        (HEAD + "namespaces: {}\n", "maps nothing", "write what differs"),
        (HEAD + "namespace: {a: b}\n", "`namespace`: there is no", "did you mean `namespaces`?"),
        (HEAD + "ports: {1: 2}\n", "a key must be a string", "ethogram.map/1"),
        (HEAD + "ports: {a: b}\n", "`ports`: there is no", "known: `schema`, `clusters`"),
        (HEAD + "namespaces: [a]\n", "field `namespaces`:", "namespaces: {shop-staging: shop}"),
        (HEAD + "namespaces: {a: 1}\n", "field `namespaces.a`:", "numbers, need quotes"),
        (HEAD + "namespaces: {a: no}\n", "field `namespaces.a`:", "need quotes"),
        (HEAD + "namespaces: {a: b, a: c}\n", "the key `a` stands twice", ""),
        (HEAD + "namespaces: {a: Shop}\n", "Kubernetes refuses a namespace called `Shop`", ""),
        (HEAD + "namespaces: {a_b: shop}\n", "refuses a namespace called `a_b`", ""),
        (HEAD + "namespaces: {a: '-b'}\n", "refuses a namespace called `-b`", ""),
        (HEAD + f"namespaces: {{a: {'b' * 64}}}\n", "refuses a namespace", "namespaces:"),
        (HEAD + "clusters: {a: ''}\n", "a cluster's name is empty", "clusters:"),
        (HEAD + "dns_suffixes: {.a.test: b}\n", "without the dot at its beginning", ""),
        (HEAD + "dns_suffixes: {a.test.: b}\n", "without the dot at its beginning or end", ""),
        (HEAD + "dns_suffixes: {A.test: b}\n", "`A.test` is no DNS suffix in lower case", ""),
        (HEAD + "dns_suffixes: {a..test: b}\n", "is no DNS suffix", ""),
        (HEAD + "dns_suffixes: {a: ''}\n", "`` is no DNS suffix", ""),
        (HEAD + "dns_suffixes: {'*.test': b}\n", "is no DNS suffix", "dns_suffixes: {staging."),
        (HEAD + "cidrs: {10.1.0.0/33: 10.2.0.0/33}\n", "`10.1.0.0/33` is no CIDR", "cidrs: {10."),
        (HEAD + "cidrs: {ten: 10.2.0.0/16}\n", "field `cidrs`: `ten` is no CIDR", ""),
        (HEAD + "cidrs: {10.1.0.0: 10.2.0.0}\n", "no prefix length: write `10.1.0.0/32`", ""),
        (HEAD + "cidrs: {10.1.0.1/16: 10.2.0.0/16}\n", "write `10.1.0.0/16`", ""),
        (HEAD + "cidrs: {10.1.0.0/255.255.0.0: 10.2.0.0/16}\n", "write `10.1.0.0/16`", ""),
        (HEAD + "cidrs: {10.1.0.0/16: 10.2.0.0/24}\n", "are of different size", ""),
        (HEAD + "cidrs: {10.1.0.0/16: 127.1.0.0/16}\n", "`127.1.0.0/16` holds the pod's own", ""),
        (HEAD + "cidrs: {127.0.0.0/8: 10.0.0.0/8}\n", "`127.0.0.0/8` holds the pod's own", ""),
        (HEAD + "cidrs: {'fd00::/16': 'ff02::/16'}\n", "`ff02::/16` holds", ""),
        (HEAD + "namespaces: [a, b]\n", "field `namespaces`: it is no mapping", "namespaces: {"),
        (HEAD + "cidrs: {10.1.0.0/16: 'fd00::/16'}\n", "is IPv4, `fd00::/16` IPv6", ""),
        (
            HEAD + "cidrs: {10.1.9.0/24: 10.5.0.0/24, 10.0.0.0/8: 11.0.0.0/8}\n",
            "`10.0.0.0/8` and `10.1.9.0/24` overlap",
            "",
        ),
        (HEAD + "labels: {env: staging}\n", "field `labels.env`:", "labels: {env: {staging:"),
        (HEAD + "labels: {env/: {a: b}}\n", "refuses a label called `env/`", ""),
        (HEAD + "labels: {env: {a: b c}}\n", "refuses the value `b c` of label `env`", ""),
        (HEAD + "namespaces: {a: B}\ncidrs: {x: y}\n", "(and 1 more)", ""),
    ],
)  # fmt: skip
def test_a_map_that_means_nothing_is_refused_by_field(text: str, cause: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_environment(text, source="env.yaml")
    assert cause in caught.value.message
    assert "`env.yaml`" in caught.value.message
    assert "\n" not in caught.value.message
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("schema: ethogram.baseline/1\nsubject: {}\n", "a baseline"),
        ('{"apiVersion": "v1", "items": [], "kind": "List"}', "a list of Kubernetes objects"),
        ('{\n  "kind": "List",\n\t"apiVersion": "v1",\n\t"items": []\n}', "a list of Kubernetes"),
        ("apiVersion: v1\nkind: A\n---\napiVersion: v1\n", "a Kubernetes object"),
        ('{"defaultAction": "SCMP_ACT_ERRNO"}', "a seccomp profile"),
        ('[{"path": "x", "baseline_sha256": "0"}]', "the index of an export"),
        (
            '{\n  "schema": "ethogram.provenance/1",\n  "made_from": {"baseline_sha256": "0"}}',
            "the provenance of a policy",
        ),
        ('{"schema": "ethogram.recording/1"}', "the manifest of a recording"),
        (
            '{"schema": "ethogram.finding/1"}\n{"schema": "ethogram.finding/1"}\n',
            "a file of findings",
        ),
    ],
)
def test_another_file_is_named_for_what_it_is(text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_environment(text, source="env.yaml")
    assert caught.value.message.startswith(f"`env.yaml` is {what}")
    assert caught.value.message.endswith(", not a map of environments")


def test_a_file_that_cannot_be_a_map_is_refused_unread(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_text('{"apiVersion": "v1", "items": [' + " " * (1 << 20))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"PAR1\xff\xfe")
    padded = tmp_path / "padded.yaml"
    padded.write_text(HEAD + "namespaces: {a: b}\n" + "#" * (1 << 20))
    for path, cause in (
        (tmp_path / "missing.yaml", "there is no map"),
        (tmp_path, "is a directory"),
        (huge / "below", "cannot be read: not a directory"),
        (huge, "is a list of Kubernetes objects, not a map"),
        (padded, "is larger than 1 MiB"),
        (binary, "it is not UTF-8 text"),
    ):
        with pytest.raises(UsageError, match=cause) as caught:
            load_environment(path)
        assert str(path) in caught.value.message


def test_the_demonstrations_map_takes_its_staging_to_its_production() -> None:
    found = load_environment(Path(demo.__file__).parent / "production-map.yaml")
    assert found.namespaces == {STAGING.namespace: PRODUCTION.namespace}
    assert found.labels == {"environment": {STAGING.environment: PRODUCTION.environment}}
