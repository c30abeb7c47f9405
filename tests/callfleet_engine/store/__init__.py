"""Tests of callfleet_engine.store."""
