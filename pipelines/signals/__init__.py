"""Product signals: snapshots, states and crossings. Cohorts read them; nothing here knows a cohort."""
