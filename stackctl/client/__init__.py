"""Clients of a stack: what they set, and how one is started."""
