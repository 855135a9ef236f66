"""Persistent disks: what outlives machines."""
