"""The other ways of switching traffic, each as its own documentation would have it done."""
