"""timm's models for zoo; ``registry.json`` beside this file is generated from timm's own metadata."""
