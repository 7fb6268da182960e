"""Who owns which slot, and what the nodes say of each other. Pure."""
