"""What commands show, made of what was read. Pure: no clock, no network, no terminal."""
