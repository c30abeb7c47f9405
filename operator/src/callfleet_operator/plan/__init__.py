"""How many pods, and which step each pod takes next. Pure: no clock, no network, no logging."""
