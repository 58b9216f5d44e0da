"""The page of an inspection: filters, maps and units of a network."""
