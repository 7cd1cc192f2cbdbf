"""Driving as on most days: nothing unusual happens, and whoever dawdles without cause makes no progress."""
