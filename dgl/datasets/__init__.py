"""Generators of data sets: drawn birds with exact boxes and masks, and five classes of photographs."""
