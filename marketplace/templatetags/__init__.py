"""What templates of disks ask of the Marketplace."""
