"""Ways that are blocked: things on the road, works, water."""
