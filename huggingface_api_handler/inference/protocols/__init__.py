"""What servers speak: where a request goes, how it is encoded, and how its response is decoded."""
