"""Export formats by name, with a numeric check of what was written."""
