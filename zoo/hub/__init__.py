"""Weights from elsewhere: fetch, verify, publish. No torch at import."""
