"""The network: batches, scaling, encoders, the additive forecast, ensembles. Knows nothing of files and tables."""
