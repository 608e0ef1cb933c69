"""A file that shells read when they start, written."""

from ethogram.indicators.compliance import CHANGE
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.writes import on_writes

__all__ = ["INDICATOR"]

INDICATOR = on_writes(
    IndicatorMetadata(
        id="shell-startup-write",
        title="Start file of a shell written",
        reason="what it says is executed by the next shell",
        table="files",
        severity="high",
        attack=(Technique("T1546.004"),),
        confidence="medium",
        compliance=CHANGE,
        gate="baseline",
    ),
    r"/etc/(?:profile|bash\.bashrc|bashrc|bash\.bash_logout|zshrc|csh\.(?:cshrc|login)|environment)$",
    r"/etc/profile\.d/[^/]+$|/etc/zsh/[^/]+$|/etc/fish/(?:.*/)?[^/]+\.fish$",
    r"/\.(?:bash(?:rc|_profile|_login|_logout|_aliases)|profile|z(?:shrc|shenv|profile|login|logout)"
    r"|kshrc|t?cshrc|login|logout)$",
)
