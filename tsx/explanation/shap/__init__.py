"""SHAP values of windows: the game, its players and references, how they are estimated, and how they are written."""
