"""Cohorts: rules, membership as intervals of time, transitions and sizes. Nothing here sends or exports."""
