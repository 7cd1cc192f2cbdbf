"""Observation -> Controls, in the car: tracker and driver."""
