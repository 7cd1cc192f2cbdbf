"""Look at a rollout: drawing, page."""
