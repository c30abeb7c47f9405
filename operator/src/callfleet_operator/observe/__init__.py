"""From what the gateways brought to an Observation. Pure: no clock, no network, no logging."""
