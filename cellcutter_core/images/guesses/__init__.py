"""What is guessed of an image from its pixels and from names; every guess is shown."""
