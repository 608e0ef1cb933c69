"""Real containers for the demonstration and the tests: root filesystems, networks, OCI runtimes."""
