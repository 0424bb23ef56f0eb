"""Parts the catalogue points at where torch and torchvision have no ready callable."""
