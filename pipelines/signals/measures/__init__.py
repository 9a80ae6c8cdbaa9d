"""One module per kind of measure: from the state and the facts of a day to values, states and events."""
