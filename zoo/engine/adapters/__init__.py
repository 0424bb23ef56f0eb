"""Low-rank adapters: what a layer does is added to, its weight stays as it is."""
