"""Classifiers on public sets."""
