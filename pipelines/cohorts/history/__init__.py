"""History of membership: spans in valid time, what must agree with what, and one subject's timeline."""
