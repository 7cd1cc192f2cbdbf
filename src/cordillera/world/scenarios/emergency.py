"""Vehicles with right of way, and school buses."""
