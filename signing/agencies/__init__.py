"""Organisations that seal: proposed by their representatives, approved by an officer, and left again at once."""
