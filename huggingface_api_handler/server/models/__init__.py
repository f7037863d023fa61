"""The small models that the server ships with or finds in the packages of its extras."""
