"""A shell that a server started which has no use for one."""

from __future__ import annotations

import pyarrow as pa

from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.predicates import SHELLS, Mask, among, base_name_is, executed, runs
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

# Not here: what runs programs by design (PHP, Java, Node.js, Apache's CGI, PostgreSQL's archiver).
_SERVERS = (
    r"nginx|openresty|tengine|angie|haproxy|envoy|caddy|traefik|lighttpd|varnishd|squid"
    r"|redis-server|valkey-server|keydb-server|memcached|mysqld|mariadbd|mongod|mongos|etcd"
    r"|coredns|named|unbound|dnsmasq|vsftpd|proftpd|slapd"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec, by the name of the executable that started it."""
    by_server = base_name_is(rows.column("parent_path"), _SERVERS)
    return among(rows, by_server, _is_shell)


def _is_shell(rows: pa.Table) -> Mask:
    return among(rows, executed(rows), lambda some: runs(some, SHELLS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="server-shell",
        title="Shell started by a server",
        reason="a server that never needs a shell started one: somebody makes it",
        table="processes",
        severity="high",
        attack=(Technique("T1505.003"), Technique("T1190"), Technique("T1059.004")),
        confidence="high",
        compliance=EXECUTION,
    ),
    bad=_bad,
    suspect=everything,
)
