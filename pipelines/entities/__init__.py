"""Versions into latest rows and histories; references that wait; ledgers of what was received."""
