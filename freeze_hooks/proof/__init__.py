"""Proof that a file answers like the live model.

This folder imports no code that plans, rewrites or fills files, so that it cannot repeat their
mistakes. `tests/test_house.py` asserts that.
"""
