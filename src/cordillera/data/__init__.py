"""Recordings on disk <-> values: videos and rollouts."""
