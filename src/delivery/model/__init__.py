"""The exported model: how it is stored, loaded and asked."""
