"""What others published on the same protocols, by set and score."""

PUBLISHED = {
    ("m4_hourly", "owa"): "ES-RNN .440 (Smyl 2020), best of the competition .410",
    ("m4_hourly", "mase"): "Chronos-Bolt base .835, Chronos-T5 large .698, both trained on it",
    ("m4_hourly", "wql"): "Chronos-Bolt base .0254, Chronos-T5 large .0209, both trained on it",
    ("m4_weekly", "owa"): "best of the competition .739, ES-RNN .851",
    ("m4_weekly", "mase"): "Chronos-Bolt base 2.085, Chronos-T5 large 2.019, both trained on it",
    ("m4_weekly", "wql"): "Chronos-Bolt base .0382, Chronos-T5 large .0369, both trained on it",
    ("m3_monthly", "smape"): "Theta in the competition 13.85",
    ("tourism_monthly", "mase"): "Chronos-Bolt base 1.528, Chronos-T5 large 1.730",
    ("tourism_monthly", "wql"): "Chronos-Bolt base .0903, Chronos-T5 large .0998",
    ("hospital", "mase"): "TiRex .763, Chronos-Bolt base .791",
    ("hospital", "wql"): "Chronos-Bolt base .0570, Chronos-T5 large .0552",
    ("etth1", "mse"): "SegRNN .368, PatchTST .370, DLinear .375",
    ("etth1", "mae"): "SegRNN .395, PatchTST .400, DLinear .399",
    ("national_illness", "mse"): "DLinear 1.683, with the last incomplete batch dropped",
    ("exchange_rate", "mse"): "repeating the last value .081, with the last incomplete batch dropped",
    ("spy_realized", "qlike"): "log-HAR .212, HAR .238, both fitted again every day",
}
"""M4: Makridakis et al. (2020); Chronos: the result files of its repository, but Hospital's MASE those of fev, whose
seasonal naive is the one here (.921); LTSF sets: the papers' own tables."""
