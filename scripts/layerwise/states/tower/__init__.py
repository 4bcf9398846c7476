"""Hidden states of vision towers: what each vision block, and the projector behind them, makes of a picture."""
