"""Dokku, spoken to over ssh."""
