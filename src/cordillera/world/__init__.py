"""WorldState + Controls -> WorldState: roads, vehicles, traffic, signals."""
