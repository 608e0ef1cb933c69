"""How a session is doing, served over HTTP: metrics for Prometheus, and answers to probes."""
