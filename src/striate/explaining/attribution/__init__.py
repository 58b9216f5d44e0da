"""Attribution methods: maps over the input that show which parts support an answer."""
