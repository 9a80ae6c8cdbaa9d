"""Where data is kept: the lake (Delta), objects (local, S3, GCS) and control data (SQL). No business rules."""
