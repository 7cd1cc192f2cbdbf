"""Rollout -> metrics and report."""
