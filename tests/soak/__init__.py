"""Participants come and go for a long time, and nothing of them stays: `python -m tests.soak`."""
