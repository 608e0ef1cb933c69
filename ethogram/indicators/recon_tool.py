"""A program that scans hosts, ports or clusters, or tries passwords."""

from __future__ import annotations

import pyarrow as pa

from ethogram.indicators.compliance import TOOLS
from ethogram.indicators.predicates import Mask, among, executed, runs
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

# Not here: curl, ping, dig, host, traceroute, which health checks and people use.
_TOOLS = (
    r"nmap|ncrack|masscan|zmap|zgrab2?|rustscan|naabu|unicornscan|hping3?|fping|arp-scan|arping"
    r"|netdiscover|nbtscan|enum4linux(?:-ng)?|ldapsearch|smbmap|onesixtyone|snmpwalk|nikto|gobuster"
    r"|ffuf|feroxbuster|dirb|dirsearch|wfuzz|sqlmap|hydra|medusa|crackmapexec|netexec|nxc|amass"
    r"|subfinder|nuclei|httpx-toolkit|fscan|kscan|pscan|pnscan|zgrab|kube-hunter|kubeletctl"
    r"|peirates|cdk|deepce(?:\.sh)?|linpeas(?:\.sh|_[a-z0-9_]+)?|linenum(?:\.sh)?|pspy(?:32|64)?s?"
    r"|amicontained|botb|traitor"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec by the name of the program, or of the script."""
    return among(rows, executed(rows), lambda some: runs(some, _TOOLS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="recon-tool",
        title="Scanner or tool to look around with",
        reason="its purpose is to find out what else can be reached or broken into",
        table="processes",
        severity="medium",
        attack=(Technique("T1046"), Technique("T1595")),
        confidence="medium",
        compliance=TOOLS,
        gate="baseline",
    ),
    bad=_bad,
)
