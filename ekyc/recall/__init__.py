"""Evidence that is called back, and the way back from a suspension."""
