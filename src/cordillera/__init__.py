"""Cordillera: an open driving stack that sees, says why, and drives, and whose words can be put to the test."""

__version__ = "0.1.0"
