"""What stations collected without a network."""
