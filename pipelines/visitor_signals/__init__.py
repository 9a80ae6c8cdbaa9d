"""Signals of visitors and customers, day by day, one file a measure. Definitions are in the catalogue of signals."""
