"""The parts of `bwnhw.lower`: edges, exact constants, weights, layers, quantisers, scores."""
