"""What is measured, beside its peers. ``python -m bench [NAME]``."""
