"""A zoo plugin. ``registry.toml`` beside this file names its parts; nothing is imported to list them."""
