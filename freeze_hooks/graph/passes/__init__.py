"""Rewritings of a graph; they use the analyses in `graph/`, which know nothing of them."""
