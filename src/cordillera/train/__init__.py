"""Samples in, weights out: supervised training of the model."""
