"""How far back the network remembers: gates, retention, gradients, responses, and the context that is needed."""
