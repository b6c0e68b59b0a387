"""Writes, reads and describes frozen files."""
