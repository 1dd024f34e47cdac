"""Factors of persons: enrolled, changed, lost, and without a phone."""
