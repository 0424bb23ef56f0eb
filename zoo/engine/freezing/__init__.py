"""What does not train: the cone of a stage, the plan, what is held, and the proof."""
