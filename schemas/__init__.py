"""Contracts: every record, table, file and event, as data.

What belongs here: column names, types, versions, keys, and which fields are personal.
What does not: reading, writing or computing anything. This package imports nothing of ours.
"""
