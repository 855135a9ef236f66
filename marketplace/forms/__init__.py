"""The forms of the Marketplace."""
