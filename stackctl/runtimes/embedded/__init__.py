"""Stacks as supervised processes of this machine.

This file imports nothing: guards and keeper start from this package, and must be quick.
"""
