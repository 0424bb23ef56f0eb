"""The run: parts, surgery, freezing, the loop, state and checkpoints."""
