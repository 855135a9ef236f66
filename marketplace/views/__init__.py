"""The pages of the Marketplace."""
