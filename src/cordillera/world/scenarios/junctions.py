"""Who goes first: junctions without lights, merges, rails."""
