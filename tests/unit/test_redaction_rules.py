"""What `--redact-rules` names is withheld in every column that may have it, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.redaction_file import RedactionRule, load_redaction
from ethogram.errors import UsageError
from profiler.withholding import Withholding

pytestmark = pytest.mark.unit


def withheld(kind: str, pattern: str, text: str) -> str:
    rule = RedactionRule.model_validate({"name": "rule", kind: [pattern]})
    one = Withholding([rule])
    apply = {"paths": one.path, "dns": one.name, "sockets": one.socket}[kind]
    return apply(text.encode()).decode()


@pytest.mark.parametrize(
    ("pattern", "path", "left"),
    [
        ("/home/{*}/**", "/home/alice/mail/inbox", "/home/[redacted]/mail/inbox"),
        ("/home/{*}/**", "/home/alice", "/home/[redacted]"),
        ("/home/{*}/**", "/homes/alice/mail", "/homes/alice/mail"),
        ("/home/{**}", "/home/alice/mail", "/home/[redacted]"),
        ("/data/{*}.db", "/data/acme.db", "/data/[redacted].db"),
        ("/data/{*}.db", "/data/a/b.db", "/data/a/b.db"),
        ("/data/{*}/{*}/keys", "/data/a/b/keys", "/data/[redacted]/[redacted]/keys"),
        ("**/tenants/{*}/**", "/srv/tenants/acme/x", "/srv/tenants/[redacted]/x"),
        ("**/tenants/{*}/**", "/tenants/a/tenants/b", "/tenants/[redacted]/tenants/[redacted]"),
        ("**/{*}.key", "/etc/ssl/acme.key", "/etc/ssl/[redacted].key"),
        ("/srv/{acme}/**", "/srv/acme/x", "/srv/[redacted]/x"),
        ("/home/{*}/**", "/home/\nalice/x", "/home/[redacted]/x"),
        ("/home/{*}/**", ".../alice/mail", "...[redacted]"),
    ],
)
def test_the_part_in_braces_of_a_path_goes(pattern: str, path: str, left: str) -> None:
    assert withheld("paths", pattern, path) == left
    assert withheld("paths", pattern, left) == left


@pytest.mark.parametrize(
    ("kind", "pattern", "text", "left"),
    [
        ("dns", "{*}.customers.example", "acme.customers.example", "[redacted].customers.example"),
        ("dns", "{*}.customers.example", "a.b.customers.example", "a.b.customers.example"),
        ("dns", "{**}.customers.example", "a.b.customers.example", "[redacted].customers.example"),
        ("sockets", "/run/user/{*}/**", "/run/user/1000/bus", "/run/user/[redacted]/bus"),
        ("sockets", "@session-{*}", "\0session-alice", "\0session-[redacted]"),
        ("sockets", "@session-{*}", "@session-alice", "@session-[redacted]"),
        ("paths", "/run/user/{*}/**", "/run/user/1000/bus", "/run/user/[redacted]/bus"),
    ],
)
def test_names_and_sockets_are_withheld_alike(
    kind: str, pattern: str, text: str, left: str
) -> None:
    assert withheld(kind, pattern, text) == left


@pytest.fixture
def rules() -> Withholding:
    return Withholding(
        [
            RedactionRule(name="homes", paths=("/home/{*}/**",)),
            RedactionRule(name="customers", dns=("{*}.customers.example",)),
        ]
    )


def test_no_column_of_a_row_tells_it(rules: Withholding) -> None:
    tables: dict[str, dict[str, Any]] = {
        "executables": {"path": [b"/home/alice/bin/x"]},
        "processes": {
            "cwd": [b"/home/alice"],
            "script": [b"/home/alice/run.sh"],
            "interpreter": [None],
            "argv": [[b"--out=/home/alice/o", b"https://alice.customers.example:8443/home/a"]],
            "stdio_peers": [[{"fd": 0, "unix_path": b"/home/alice/s"}, {"fd": 1}]],
        },
        "files": {"path": [b"/home/alice/x"], "asked": [b"../alice/x"]},
        "network": {"unix_path": [b"/home/alice/s"], "name": ["alice.customers.example"]},
        "dns": {"qname": [b"alice.customers.example"]},
        "privileges": {"target": [b"/home/alice/mnt"]},
        "instances": {"host_paths": [["/home/alice"]]},
    }
    for table, columns in tables.items():
        assert b"alice" not in repr(rules.of(table, columns)).encode(), table
    assert rules.counts == {"homes": 9, "customers": 3}


def test_what_no_rule_names_stays_as_it_was(rules: Withholding) -> None:
    columns = {"path": [b"/etc/passwd", b"/homes"], "asked": [None, b"x"], "calls": [1, 2]}
    assert rules.of("files", dict(columns)) == columns
    assert (
        rules.text(b"https://WWW.example:1/x?home=/homes") == b"https://WWW.example:1/x?home=/homes"
    )
    assert rules.counts.total() == 0


def test_a_long_path_that_nearly_matches_costs_little() -> None:
    rule = RedactionRule(name="deep", paths=("**/a/{*}/b/{*}/c",))
    text = b"/a/x/b" * 50_000
    assert Withholding([rule]).path(text) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: []", "it has no `schema: ethogram.redaction/1`"),
        ("schema: ethogram.redaction/1\nrules: []", "field `rules`"),
        ("schema: ethogram.redaction/1\nrules: [{name: a}]", "neither `paths`"),
        (
            "schema: ethogram.redaction/1\nrules: [{name: a, paths: [/home/*]}]",
            "no part in braces",
        ),
        (
            "schema: ethogram.redaction/1\nrules: [{name: a, paths: ['/a/**/{*}']}]",
            "`**` stands at the beginning or at the end",
        ),
        (
            "schema: ethogram.redaction/1\nrules: [{name: a, paths: ['/a/*b*{c}']}]",
            "two `*` in one part",
        ),
        (
            "schema: ethogram.redaction/1\nrules: [{name: a, paths: ['home/{*}']}]",
            "begins with neither",
        ),
        (
            "schema: ethogram.redaction/1\nrules: [{name: a, dns: ['{*}.Example']}]",
            "lower case",
        ),
        (
            "schema: ethogram.redaction/1\nrules: [{name: a, dns: ['{x}']}, "
            "{name: a, dns: ['{y}']}]",
            "two rules have one name",
        ),
        ("schema: ethogram.redaction/1\nrules: [{name: a, path: ['{x}']}]", "path"),
        (
            "schema: ethogram.redaction/1\nrules:\n"
            + "".join(f"- {{name: n{n}, dns: ['{{x}}{n}']}}\n" for n in range(257)),
            "256",
        ),
    ],
)
def test_a_file_that_withholds_nothing_is_refused_by_field(
    tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_redaction(file)
    assert words in str(caught.value)
