"""Where labelled pictures come from: one module for each kind of source; `striate.data.opening` chooses among them."""
