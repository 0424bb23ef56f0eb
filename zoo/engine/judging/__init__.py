"""A trained model at work: measured on labelled images, or asked about single ones."""
