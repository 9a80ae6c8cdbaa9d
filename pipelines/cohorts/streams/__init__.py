"""Rows of the streams that rules name, read from the facts. What rules do with them is elsewhere."""
