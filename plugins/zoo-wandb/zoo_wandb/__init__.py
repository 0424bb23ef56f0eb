"""The plugin's package; ``registry.toml`` beside this file names its parts."""
