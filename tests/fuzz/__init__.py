"""Readers and decoders under bytes that nobody wrote: `make fuzz`."""
