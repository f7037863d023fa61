"""The site of the documentation, as it is built and as a person sees it."""
