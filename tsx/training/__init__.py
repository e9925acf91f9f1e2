"""How a network is planned, initialised, trained, validated and calibrated."""
