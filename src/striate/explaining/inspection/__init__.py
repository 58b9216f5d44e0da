"""Look inside a network: activations, filters, units, receptive fields, nearest images."""
