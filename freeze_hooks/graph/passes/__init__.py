"""Passes that rewrite a graph. They use the analyses in `graph/`, which never use a pass."""
