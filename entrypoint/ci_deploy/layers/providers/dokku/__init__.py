"""Dokku, over ssh."""
