"""The cluster's API server as a source of names: pods, their owners, and whose an address is."""
