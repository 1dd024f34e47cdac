"""Certificates before they end."""
