"""A small fleet, every state it can get into, and what must hold in each of them."""
