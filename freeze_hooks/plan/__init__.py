"""The structure of a frozen graph, compiled once for all of its files."""
