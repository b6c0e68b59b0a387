"""Reads the values of variables and lookup tables, one at a time and in chunks."""
