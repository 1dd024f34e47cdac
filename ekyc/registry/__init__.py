"""The base registry: whom it is asked about, how, and what its answers mean."""
