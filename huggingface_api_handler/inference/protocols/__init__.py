"""What servers speak: where a request goes, its bytes, and how an answer is decoded."""
