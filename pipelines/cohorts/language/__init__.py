"""The rule language: what a cohort file may say, in words and as models. How it is computed is elsewhere."""
