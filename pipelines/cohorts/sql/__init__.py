"""Cohort rules as DuckDB SQL: the second, independent reading of the rule language, which the first is checked with."""
