"""Readers of weight files: one module a format."""
