"""The frozen part of a model, computed once: the cut, the store, and batches from it."""
