"""What others published on the same protocols, and what a default fit is to reach, by set and score."""

_ZERO_SHOT = {
    "m4_hourly": (("TiRex", ".722", ".0202"), ("Chronos-Bolt base", ".835", ".0254")),
    "m4_weekly": (("TiRex", "1.990", ".0367"), ("Chronos-Bolt base", "2.085", ".0382")),
    "m3_monthly": (("TiRex", ".831", ".0899"), ("Chronos-Bolt base", ".851", ".0927"), ("AutoTheta", ".855", ".0947")),
    "m3_quarterly": (
        ("TiRex", "1.154", ".0699"),
        ("Chronos-Bolt base", "1.289", ".0761"),
        ("AutoTheta", "1.119", ".0702"),
    ),
    "m3_yearly": (
        ("TiRex", "2.710", ".1264"),
        ("Chronos-Bolt base", "2.906", ".1293"),
        ("AutoTheta", "2.610", ".1277"),
    ),
    "tourism_monthly": (
        ("TiRex", "1.449", ".0749"),
        ("Chronos-Bolt base", "1.528", ".0903"),
        ("AutoTheta", "1.666", ".0910"),
    ),
    "tourism_quarterly": (
        ("TiRex", "1.606", ".0592"),
        ("Chronos-Bolt base", "1.756", ".0645"),
        ("AutoTheta", "1.648", ".0612"),
    ),
    "hospital": (("TiRex", ".763", ".0519"), ("Chronos-Bolt base", ".791", ".0570"), ("AutoTheta", ".764", ".0553")),
}
"""Who, MASE and WQL: the result files of the Chronos and fev repositories. TiRex has 35 million weights and is
recurrent; both of M4's sets were among what Chronos-Bolt was trained on."""

_OF_PAPERS = {
    ("m4_hourly", "owa"): "ES-RNN .440 (Smyl 2020), best of the competition .410",
    ("m4_weekly", "owa"): "best of the competition .739, ES-RNN .851",
    ("m3_monthly", "smape"): "Theta in the competition 13.85",
    ("etth1", "mse"): "Time-MoE .357, SegRNN .368, PatchTST .370, DLinear .375",
    ("etth1", "mae"): "Time-MoE .382, SegRNN .395, PatchTST .400, DLinear .399",
    ("national_illness", "mse"): "DLinear 1.683, with the last incomplete batch dropped",
    ("exchange_rate", "mse"): "repeating the last value .081, with the last incomplete batch dropped",
    ("spy_realized", "qlike"): "log-HAR .212, HAR .238, both fitted again every day",
}
"""M4: Makridakis et al. (2020); LTSF sets: the papers' own tables."""

PUBLISHED = _OF_PAPERS | {
    (name, score): ", ".join(f"{row[0]} {row[place]}" for row in rows)
    for name, rows in _ZERO_SHOT.items()
    for place, score in enumerate(("mase", "wql"), 1)
}

TARGETS = {
    ("m4_hourly", "mase"): (0.75, 0.70),
    ("m4_hourly", "wql"): (0.0225, 0.0200),
    ("m4_weekly", "mase"): (1.90, 1.85),
    ("m4_weekly", "wql"): (0.0365, 0.035),
    ("m3_monthly", "mase"): (0.835, 0.82),
    ("m3_monthly", "wql"): (0.0895, 0.088),
    ("m3_quarterly", "smape"): (9.2, None),
    ("m3_quarterly", "mase"): (1.10, 1.08),
    ("m3_quarterly", "wql"): (0.0695, 0.068),
    ("m3_yearly", "mase"): (2.58, 2.52),
    ("m3_yearly", "wql"): (0.125, 0.122),
    ("tourism_monthly", "mase"): (1.38, 1.35),
    ("tourism_monthly", "wql"): (0.0745, 0.072),
    ("tourism_quarterly", "mase"): (1.46, 1.42),
    ("tourism_quarterly", "wql"): (0.060, 0.057),
    ("tourism_yearly", "mase"): (2.72, None),
    ("hospital", "mase"): (0.740, 0.73),
    ("hospital", "wql"): (0.0495, 0.049),
    ("etth1", "mse"): (0.368, 0.357),
    ("etth1", "mae"): (0.384, 0.382),
    ("cgm_real", "rmse_12"): (40.0, None),
    ("spy_realized", "qlike"): (0.212, None),
}
"""What the median of the seeds is to reach, and what it is to aim at."""
