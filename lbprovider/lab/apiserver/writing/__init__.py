"""From a request's body to what is stored: decoding, patches, the rules of each kind, deletion."""
