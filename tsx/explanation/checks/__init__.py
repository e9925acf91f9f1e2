"""Tests that try to refute an explanation, and the verdict they add up to."""
