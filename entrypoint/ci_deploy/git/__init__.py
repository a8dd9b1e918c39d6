"""git: the checkout, its commits and archives of them."""
