"""The relay: a TURN and STUN server."""
