"""Publishes files whole or not at all, on local and remote file systems."""
