"""Simple forecasters that a network has to beat: naive, seasonal naive, drift, Theta, ridge; AutoETS and its kin."""
