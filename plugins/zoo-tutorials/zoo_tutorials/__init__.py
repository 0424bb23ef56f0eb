"""The classic PyTorch introductions as zoo parts; ``registry.toml`` beside this file names them."""
