"""Proof that a stack can be used: the round trip, and the full journey of a client."""
