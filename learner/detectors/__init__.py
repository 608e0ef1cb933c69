"""Estimators of how strange a window is: one module each, found by `registry`."""
