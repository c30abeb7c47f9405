"""What reaches the operator from outside: events of the cluster, and questions over HTTP."""
