"""Names and births that are corrected."""
