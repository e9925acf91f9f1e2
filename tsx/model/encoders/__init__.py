"""The encoders: recurrent networks that turn a batch into hidden states and can say what happened in their gates."""
