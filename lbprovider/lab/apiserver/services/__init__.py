"""What a kube-apiserver's registry adds to a Service: defaults, cluster addresses, node ports, and what it refuses."""
