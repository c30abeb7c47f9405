"""Real clusters for tests, the demo and people: `python -m tests.cluster --help`."""
