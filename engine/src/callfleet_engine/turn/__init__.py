"""What clients are given to reach relays: credentials and the choice of a relay."""
