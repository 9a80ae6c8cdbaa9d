"""Why one subject is in a cohort or not: the rule read row by row in plain Python, with what each part is made of."""
