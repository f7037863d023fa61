"""How fast to send: requests in flight, requests a second, inputs in a request, and when to stop."""
