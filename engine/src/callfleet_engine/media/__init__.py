"""The media plane: selective forwarding of RTP without decode or encode."""
