"""For plugin authors: checks and fixtures."""
