"""Portraits: compared by models that operators bring, or seen by an officer."""
