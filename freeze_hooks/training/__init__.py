"""Decides when frozen files are written: hooks and callbacks of training loops."""
