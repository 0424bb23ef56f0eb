"""Nothing is lost: atomic files, checkpoints, the run's folder, and what keeps them."""
