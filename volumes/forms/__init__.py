"""The forms of disks."""
