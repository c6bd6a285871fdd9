"""EvoPress: how a language model's layers share a budget of blocks, zeros or bits, found by evolutionary search."""
