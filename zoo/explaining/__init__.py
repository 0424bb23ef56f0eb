"""What a model looks at: summaries, maps, embeddings."""
