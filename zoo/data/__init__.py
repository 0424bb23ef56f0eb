"""Images: where they lie, how they are split, checked, read and drawn."""
