"""The pages in every state, against a server of states (web/mock) and without any sound behind them."""
