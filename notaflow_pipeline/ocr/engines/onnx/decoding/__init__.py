"""Words from the network's probabilities: the beam with the dictionaries, certainties, the choice between languages."""
