"""The engine: hosts calls and forwards their media."""
