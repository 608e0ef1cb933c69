"""A call of bpf(2), or an attempt."""

from ethogram.indicators.compliance import KERNEL
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="bpf-program",
        title="BPF programs or maps handled",
        reason="a BPF program can watch and change what other programs see; attempts count",
        table="privileges",
        severity="high",
        attack=(Technique("T1014"),),
        confidence="high",
        compliance=KERNEL,
        gate="baseline",
    ),
    "bpf",
)
