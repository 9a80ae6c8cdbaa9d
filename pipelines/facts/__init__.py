"""Small daily rollups of events, orders and products that every window is computed from."""
