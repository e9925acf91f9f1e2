"""How good a forecast is: metrics, baselines, the backtest and the verdict."""
