"""Values of variables and tables, read one at a time and in pieces."""
