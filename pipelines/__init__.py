"""What happens to a retailer's records, stage by stage, without Dagster: frames in, frames out."""
