"""Images, audio and video: cells to bytes and bytes to cells, safely."""
