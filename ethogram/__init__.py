"""Learns what a workload is wont to do, with eBPF, and makes policy of it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
