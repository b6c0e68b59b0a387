"""Finds what has changed in a model or function since it was traced."""
