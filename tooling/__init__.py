"""Tools that generate files of the project; they are not in the image."""
