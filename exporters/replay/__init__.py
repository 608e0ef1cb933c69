"""What policies answer to recorded behaviour: one module for each kind of policy."""
