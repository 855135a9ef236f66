"""Machines: from the asking to the last byte removed."""
