"""Questions about the past on both clocks: who was in by all we know now, and whom we said was in. Reads only."""
