"""The registry's bones: specs, names, manifests, discovery, recipes. No torch."""
