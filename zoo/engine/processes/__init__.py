"""One run in several processes: what ranks agree on, how they start, how they stop."""
