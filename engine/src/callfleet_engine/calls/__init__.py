"""Calls of this pod: admission, placement, ownership, participants."""
