"""Guardians of persons under age."""
