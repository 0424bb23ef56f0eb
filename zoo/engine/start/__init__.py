"""Where a model starts: weights, the Hub's repositories, foreign files, trained models."""
