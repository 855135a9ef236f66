"""The catalogue: entries, and the copies of their bytes inside each cloud."""
