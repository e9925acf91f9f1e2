"""A network trained on synthetic series alone, which forecasts without a fit: `python -m benchmarks.pretraining`."""
