"""Signalling: WebSocket, messages, forwarding between pods, the call page."""
