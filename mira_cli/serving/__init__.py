"""Warm models behind HTTP: names, bodies, guards, and the workers behind them."""
