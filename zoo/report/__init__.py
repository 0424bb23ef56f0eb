"""What an evaluation shows to people: one HTML page, its numbers, its charts."""
