"""The gateway's HTTP side: requests of any Ollama client in, the same requests to servers out, when the engine says."""
