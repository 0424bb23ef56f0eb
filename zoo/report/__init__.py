"""What a run or an evaluation shows to people."""
