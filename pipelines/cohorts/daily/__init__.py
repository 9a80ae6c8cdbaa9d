"""Rules that are decided at the end of each tenant day: running totals per subject, and who is in by them."""
