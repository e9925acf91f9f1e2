"""The model directory: manifest, weights and card, written whole or not at all."""
