"""Watches workloads and reports what strays from their baselines."""
