"""The inspection page of a network: filters, activation maps and units."""
