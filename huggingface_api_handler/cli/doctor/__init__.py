"""The command `doctor`: a look whether everything works here, and what to do where it does not."""
