"""Asks recordings and findings in SQL, and draws process trees: DuckDB, an extra of its own."""
