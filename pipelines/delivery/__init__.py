"""What leaves: the event log, the outbox, and signed webhooks. Nothing else in the flow depends on it."""
