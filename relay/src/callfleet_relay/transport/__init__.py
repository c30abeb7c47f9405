"""Sockets: what carries datagrams between clients, the protocol core and peers."""
