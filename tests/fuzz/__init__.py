"""Readers and decoders under bytes that nobody wrote: `python -m tests.fuzz TARGET`, `make fuzz`."""
