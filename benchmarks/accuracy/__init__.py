"""How accurate the forecasts of `tsx fit` are on public data: `python -m benchmarks.accuracy --data FOLDER`."""
