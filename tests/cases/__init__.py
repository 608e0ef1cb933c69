"""A test of quiet and of sight: attack-like and benign cases, and what `ethogram watch` says.

Each case runs in a fresh container as a child of a benign service, which is how an attack through
that service looks. `python -m tests.cases --write docs/cases.md` runs them all and keeps the table;
`docs/cases.md` says what its columns mean.
"""
