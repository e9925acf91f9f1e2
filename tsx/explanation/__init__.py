"""Why a forecast comes out as it does: SHAP values, memory, checks, surrogates and comparison."""
