"""Loaders put programs into the kernel and hand back what they recorded, in the wire structs."""
