"""The admission webhook: what an API server asks of pods, answered by levels and baselines.

The rules and the answers are pure; `app` and `serving` are the edge that speaks HTTP and TLS.
"""
