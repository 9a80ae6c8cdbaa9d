"""Tests of the event log, the outbox and webhooks."""
