"""The fault storm of ``make soak``: what is done to a platform, what goes on meanwhile, and what must hold."""
