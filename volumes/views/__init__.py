"""The pages of disks."""
