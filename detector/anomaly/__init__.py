"""Findings of the layer `anomaly`: a process beside the sensor asks the models of baselines."""
