"""Data sets that the project makes: drawn birds, and photographs of five classes."""
