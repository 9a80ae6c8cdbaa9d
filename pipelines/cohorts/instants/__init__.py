"""Rules that are true from an instant of the data on: when each part holds, and all together."""
