"""Appeals of who was refused."""
