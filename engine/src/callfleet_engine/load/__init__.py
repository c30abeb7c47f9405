"""`callfleet load`: real participants and TURN clients in numbers, for tests, demos and sizing."""
