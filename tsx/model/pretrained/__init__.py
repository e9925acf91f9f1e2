"""The network that comes with the package: trained on synthetic series alone, it forecasts without a fit.

`record.json` says how `weights.safetensors` came about; `benchmarks/pretraining` trains and judges it.
"""
