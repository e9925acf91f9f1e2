"""Every setting, declared once, and the values that are decided from them."""
