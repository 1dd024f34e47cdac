"""Seals that wait for a second pair of eyes: asked for by one client, released by another."""
