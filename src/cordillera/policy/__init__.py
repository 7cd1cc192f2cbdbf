"""Observation -> Decision."""
