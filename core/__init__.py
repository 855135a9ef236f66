"""What two apps share, and no noun of the domain."""
