"""How a plain fit does from rolling origins, beside the best simple forecaster: `python -m benchmarks.rolling`."""
