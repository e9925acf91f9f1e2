"""Explanations of classifiers: the same game and the same checks, of log-odds instead of forecasts."""
