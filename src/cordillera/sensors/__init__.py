"""WorldState -> Observation: cameras, scene, window."""
