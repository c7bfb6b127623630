"""From a trained classifier to attention maps: frozen graphs, sessions, maps, and what is made of a map."""
