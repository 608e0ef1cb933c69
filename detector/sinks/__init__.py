"""Where findings go beside standard output: one module a sink, a spool and a sender for each."""
