"""The same load on a CallCluster and on Deployments with an HPA: `make compare`."""
