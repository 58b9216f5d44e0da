"""Attribution methods: maps over the input that show what speaks for an answer."""
