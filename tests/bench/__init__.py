"""Measurements by command, never part of a test run."""
