"""Image data sets of the Hugging Face ``datasets`` library; ``registry.toml`` beside this file names them."""
